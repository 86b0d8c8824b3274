//! Speaks with the runner of the compatibility tests: JSON lines on standard input and output.

use serde_json::{Value, json};
use std::future::Future;
use std::io::Write;
use tokio::io::{AsyncBufReadExt, BufReader};

/// What a server answered with: its number, or 0.
pub struct Failure {
    pub code: u32,
    pub message: String,
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Failure { code: 0, message }
    }
}

/// Writes one line.
pub fn say(line: Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// The text of a member, or nothing.
pub fn text<'a>(ask: &'a Value, name: &str) -> &'a str {
    ask[name].as_str().unwrap_or_default()
}

/// Carries out commands, all at once, until the input ends.
pub async fn serve<F, R>(act: F)
where
    F: Fn(Value) -> R,
    R: Future<Output = Result<Value, Failure>> + Send + 'static,
{
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = input.next_line().await {
        let ask: Value = serde_json::from_str(&line).expect("a line of JSON");
        let id = ask["id"].clone();
        let answer = act(ask);
        tokio::spawn(async move {
            say(match answer.await {
                Ok(result) => json!({ "id": id, "result": result }),
                Err(Failure { code, message }) => {
                    json!({ "id": id, "error": { "code": code, "message": message } })
                }
            });
        });
    }
}
