//! A minimal Socket.IO client: the messages that it sends, and those that it expects.

use std::error::Error;

use websocket_proto::{CloseCode, Event};

const ATTACHMENT: [u8; 5] = [0, 1, 127, 128, 255];

/// The start of an expected message, the word to print for it, and the message to send next.
const SCRIPT: [(&str, &str, &str); 5] = [
    ("0{", "", "40"),
    ("40{", "connect", r#"42["echo","Grüße, 世界",{"n":1}]"#),
    (r#"42["echo","Grüße, 世界",{"n":1}]"#, "event", r#"427["echo","acknowledge this"]"#),
    (r#"437["acknowledge this"]"#, "acknowledgement", r#"451-["echo",{"_placeholder":true,"num":0}]"#),
    (r#"451-["echo",{"_placeholder":true,"num":0}]"#, "", ""),
];

pub(super) fn exchange(url: &str) -> Result<(), Box<dyn Error>> {
    let mut script = SCRIPT.into_iter();
    let (mut received_all, mut pinged) = (false, false);
    let closed = super::converse(url, |event, ws, output| {
        match event {
            // Engine.IO's own ping, which may come at any time.
            Event::Text(text) if text == "2" => {
                if !pinged {
                    println!("ping");
                }
                pinged = true;
                ws.send_text("3", output)?;
            }
            Event::Text(text) => {
                let (wanted, word, answer) = script.next().ok_or_else(|| format!("not asked for: {text}"))?;
                if !text.starts_with(wanted) {
                    return Err(format!("wanted {wanted}, had {text}").into());
                }
                if !word.is_empty() {
                    println!("{word}");
                }
                if !answer.is_empty() {
                    ws.send_text(answer, output)?;
                }
                if answer.starts_with("45") {
                    ws.send_binary(&ATTACHMENT, output)?;
                }
            }
            Event::Binary(data) if script.len() == 0 && *data == ATTACHMENT => {
                println!("attachment");
                received_all = true;
            }
            Event::Binary(data) => return Err(format!("not asked for: {data:?}").into()),
            _ => return Ok(()),
        }
        if received_all && pinged {
            ws.close(CloseCode::NORMAL_CLOSURE, "", output);
        }
        Ok(())
    })?;
    if !closed.was_clean() {
        return Err(format!("not closed cleanly: {closed:?}").into());
    }
    println!("close");
    Ok(())
}
