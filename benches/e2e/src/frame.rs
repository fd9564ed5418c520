//! Encodes frames, without the code of any contender.

/// Appends an unfragmented binary message, masked if there is a key.
pub fn append(bytes: &mut Vec<u8>, payload: &[u8], key: Option<[u8; 4]>) {
    let mask_bit = if key.is_some() { 0x80 } else { 0 };
    bytes.push(0x82);
    match payload.len() {
        len @ 0..=125 => bytes.push(mask_bit | len as u8),
        len @ 126..=0xffff => {
            bytes.push(mask_bit | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        len => {
            bytes.push(mask_bit | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    bytes.extend(key.iter().flatten());
    let key = key.unwrap_or_default();
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455, section 5.7.
    #[test]
    fn frames_have_the_lengths_of_the_rfc() {
        let mut bytes = Vec::new();
        append(&mut bytes, &[7; 256], None);
        assert_eq!(bytes[..4], [0x82, 0x7e, 0x01, 0x00]);
        bytes.clear();
        append(&mut bytes, &vec![7; 65_536], None);
        assert_eq!(bytes[..10], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
        bytes.clear();
        append(&mut bytes, b"Hello", Some([0x37, 0xfa, 0x21, 0x3d]));
        assert_eq!(bytes, [0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }
}
