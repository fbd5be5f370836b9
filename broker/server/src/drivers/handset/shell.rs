//! The call `shell`: a script's own commands, waited for or in the background (Specification 1.5).

use std::collections::BTreeMap;

use ave_adb::Stream;
use ave_profile::{Refusal, Value};
use ave_protocol::arguments::Bound;
use tokio::io::{copy, sink};
use tokio::task::{AbortHandle, JoinSet};

use super::device::{Answer, Handset};
use super::limits::{BACKGROUND_MAX, CALL_LIMIT};
use crate::drivers::arguments::Take;

/// Added to the numbers of background commands: above every process id of this host, so that nobody kills a
/// stranger with one.
const FIRST_PID: i64 = 1 << 30;

/// The commands in the background. They end when this is dropped.
#[derive(Default)]
pub(super) struct Background {
    running: JoinSet<()>,
    by_number: BTreeMap<i64, AbortHandle>,
    started: i64,
}

impl Background {
    /// Keeps a command running; what it says is read and not kept.
    fn start(&mut self, mut stream: Stream) -> i64 {
        let number = self.started;
        self.started += 1;
        let reading = self.running.spawn(async move {
            let _ = copy(&mut stream, &mut sink()).await;
        });
        self.by_number.insert(number, reading);
        number
    }

    fn forget_ended(&mut self) {
        while self.running.try_join_next().is_some() {}
        self.by_number.retain(|_, reading| !reading.is_finished());
    }

    /// Ends a command; one that has ended is fine.
    async fn stop(&mut self, number: i64) {
        if let Some(reading) = self.by_number.remove(&number) {
            reading.abort();
            // It only waits for its stream, so it is gone at once.
            while !reading.is_finished() {
                let _ = self.running.join_next().await;
            }
        }
    }

    /// Ends all of them.
    pub(super) async fn stop_all(&mut self) {
        self.by_number.clear();
        self.running.shutdown().await;
    }
}

impl Handset {
    pub(super) async fn shell(&mut self, arguments: &mut Bound) -> Answer {
        let (line, original) = line_of(arguments.take("args"))?;
        let limit = arguments.limit("timeout")?;
        if arguments.flag("bg")? {
            return self.shell_in_background(&line).await;
        }
        let output = self.run_for(&original, &line, limit).await?;
        Ok(self.shown(&output))
    }

    async fn shell_in_background(&mut self, line: &str) -> Answer {
        self.background.forget_ended();
        if self.background.by_number.len() >= BACKGROUND_MAX {
            let text = format!("too many background commands: wanted {BACKGROUND_MAX} at most");
            return Err(Refusal::exception(text));
        }
        let stream = self.adb(&["shell", line], Some(CALL_LIMIT), self.device.shell(line)).await?;
        let number = self.background.start(stream);
        Ok(Value::List(vec![Value::Int(FIRST_PID + number), Value::Int(number)]))
    }

    /// Accepts the pairs that this handset has given out, and nothing else (Specification 12, defect 18).
    pub(super) async fn kill_background_cmd(&mut self, arguments: &mut Bound) -> Answer {
        let (pid, fd) = (arguments.whole("pid")?, arguments.whole("fd")?);
        if pid.checked_sub(FIRST_PID) != Some(fd) || !(0..self.background.started).contains(&fd) {
            let text = format!("no such background command of this handset: [{pid}, {fd}]");
            return Err(Refusal::exception(text));
        }
        self.background.stop(fd).await;
        Ok(Value::Null)
    }
}

/// The line for the handset's shell, and what the caller had said.
fn line_of(args: Value) -> Result<(String, String), Refusal> {
    let wrong = |found: &Value| {
        let found = found.type_name();
        Refusal::exception(format!("args must be a string or a list of strings, found {found}"))
    };
    let words: Vec<String> = match &args {
        Value::Text(text) => text.split_whitespace().map(str::to_owned).collect(),
        Value::List(words) => {
            let words = words.iter().map(|word| word.as_str().ok_or_else(|| wrong(word)));
            words.map(|word| word.map(guarded)).collect::<Result<_, _>>()?
        }
        other => return Err(wrong(other)),
    };
    if words.is_empty() {
        return Err(Refusal::exception("args must not be empty"));
    }
    let line = words.join(" ");
    let original = if let Value::Text(text) = args { text } else { line.clone() };
    Ok((line, original))
}

/// An element of a list. A blank one would get lost among the others.
fn guarded(word: &str) -> String {
    if word.trim().is_empty() { format!("\"{word}\"") } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line(args: serde_json::Value) -> String {
        line_of(args.into()).unwrap().0
    }

    #[test]
    fn arguments_become_the_line_that_1_5_says() {
        // H10
        assert_eq!(line(json!("echo  'a   b'")), "echo 'a b'");
        assert_eq!(line(json!(["echo", "hi"])), "echo hi");
        assert_eq!(line(json!(["echo 'a   b' && true"])), "echo 'a   b' && true");
        assert_eq!(line(json!(["setprop", "a", "", "  "])), "setprop a \"\" \"  \"");
        for wrong in [json!(null), json!([1]), json!([]), json!(" ")] {
            assert!(line_of(wrong.clone().into()).is_err(), "{wrong}");
        }
    }
}
