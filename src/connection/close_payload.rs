//! The payload of a Close frame (RFC 6455 §5.5.1): its code and its reason.

use crate::close::{CloseCode, CloseStatus};
use crate::error::{ProtocolError, ProtocolErrorKind};
use crate::utf8;

/// The status and the reason. The offset of a fault is that of the frame, at `frame_start`, or that of the first byte of
/// the reason that is not UTF-8.
pub(super) fn parse(
    payload: &[u8],
    payload_start: u64,
    frame_start: u64,
) -> Result<(CloseStatus, &str), ProtocolError> {
    let fault = |kind| ProtocolError { kind, offset: frame_start };
    match payload {
        // RFC 6455 §7.1.5: "If this Close control frame contains no status code, _The WebSocket Connection Close Code_
        // is considered to be 1005."
        [] => Ok((CloseStatus::NoStatus, "")),
        // RFC 6455 §5.5.1: "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer".
        [_] => Err(fault(ProtocolErrorKind::ClosePayloadTooShort)),
        [high, low, reason @ ..] => {
            let number = u16::from_be_bytes([*high, *low]);
            let code = CloseCode::new(number).ok_or(fault(ProtocolErrorKind::InvalidCloseCode(number)))?;
            let reason = utf8::check(reason).map_err(|error| ProtocolError {
                kind: ProtocolErrorKind::InvalidUtf8,
                offset: payload_start.saturating_add(2 + error.index as u64),
            })?;
            Ok((CloseStatus::Code(code), reason))
        }
    }
}
