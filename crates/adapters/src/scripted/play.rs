//! Operations on a socket, in order and in time.

use std::io;

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::time::sleep_until;

use super::render::Op;
use crate::clock;

/// What is to become of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionFate {
    KeepAlive,
    Close,
    Reset,
}

/// Plays an answer. Pauses are counted from the start, so that a stream of short ones keeps its rate although timers have
/// whole milliseconds.
pub(super) async fn play(ops: &[Op], socket: &mut OwnedWriteHalf) -> io::Result<ConnectionFate> {
    let mut due = clock::now();
    let cursor = Cursor { stack: vec![Level { ops, next: 0, again: 0 }] };
    for op in cursor {
        match op {
            Op::Write(bytes) => socket.write_all(bytes).await?,
            Op::Wait(pause) => {
                due += *pause;
                sleep_until(due).await;
            }
            Op::Stall => std::future::pending::<()>().await,
            Op::Cut | Op::Close => return Ok(ConnectionFate::Close),
            Op::Reset => return Ok(ConnectionFate::Reset),
            Op::Repeat(..) => {}
        }
    }
    Ok(ConnectionFate::KeepAlive)
}

/// Walks nested repetitions without recursion.
struct Cursor<'a> {
    stack: Vec<Level<'a>>,
}

struct Level<'a> {
    ops: &'a [Op],
    next: usize,
    again: u64,
}

impl<'a> Iterator for Cursor<'a> {
    type Item = &'a Op;

    fn next(&mut self) -> Option<&'a Op> {
        loop {
            let level = self.stack.last_mut()?;
            match level.ops.get(level.next) {
                Some(Op::Repeat(times, ops)) => {
                    level.next += 1;
                    if *times > 0 {
                        self.stack.push(Level { ops, next: 0, again: times - 1 });
                    }
                }
                Some(op) => {
                    level.next += 1;
                    return Some(op);
                }
                None if level.again > 0 => {
                    level.again -= 1;
                    level.next = 0;
                }
                None => {
                    self.stack.pop();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn nested_repetitions() {
        let pause = |ms| Op::Wait(Duration::from_millis(ms));
        let ops = [
            pause(1),
            Op::Repeat(2, vec![Op::Repeat(3, vec![pause(2)]), pause(3)]),
            Op::Repeat(0, vec![pause(9)]),
        ];
        let walked: Vec<_> =
            Cursor { stack: vec![Level { ops: &ops, next: 0, again: 0 }] }.cloned().collect();
        let want = [1, 2, 2, 2, 3, 2, 2, 2, 3].map(pause);
        assert_eq!(walked, want);
    }
}
