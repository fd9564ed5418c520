//! [`Tokens`]: signed names, so that nodes need not remember logins.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::watch;

use crate::Error;

/// The lifetime of a token.
const VALIDITY: Duration = Duration::from_secs(24 * 60 * 60);

/// Issues and checks tokens: `NAME.EXPIRY.SIGNATURE`, where the name is base64 and the signature is HMAC-SHA-256 of the
/// text before it.
///
/// The secret is chosen when the process starts, so that all tokens end with it, or is the one on which the nodes last
/// agreed through Redis. The page logs in again with its name when a token is rejected.
pub(crate) struct Tokens {
    secret: watch::Receiver<Secret>,
}

pub(crate) type Secret = [u8; 32];

impl Tokens {
    pub(crate) fn new(secret: watch::Receiver<Secret>) -> Self {
        Self { secret }
    }

    /// A token for this name.
    pub(crate) fn issue(&self, name: &str) -> String {
        let claim = format!("{}.{}", BASE64.encode(name), seconds(SystemTime::now() + VALIDITY));
        let signature = self.signer(&claim).finalize().into_bytes();
        format!("{claim}.{}", BASE64.encode(signature))
    }

    /// The name in the token, if its signature is valid and it has not expired.
    pub(crate) fn name(&self, token: &str) -> Option<String> {
        let (claim, signature) = token.rsplit_once('.')?;
        // In constant time: the time must not show how much of a forged signature is right.
        self.signer(claim).verify_slice(&BASE64.decode(signature).ok()?).ok()?;
        let (name, expiry) = claim.split_once('.')?;
        let is_valid = seconds(SystemTime::now()) < expiry.parse().ok()?;
        String::from_utf8(BASE64.decode(name).ok()?).ok().filter(|_| is_valid)
    }

    fn signer(&self, claim: &str) -> Hmac<Sha256> {
        let signer = Hmac::<Sha256>::new_from_slice(&*self.secret.borrow()).expect("HMAC takes a key of any length");
        signer.chain_update(claim)
    }
}

/// 256 bits from the operating system.
pub(crate) fn random_secret() -> Result<Secret, Error> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)?;
    Ok(secret)
}

/// A random node name, so that no two nodes share one.
pub(crate) fn random_name() -> Result<String, Error> {
    Ok(format!("{:08x}", getrandom::u32()?))
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
