use std::task::{Context, Poll, Waker};

use super::*;
use crate::agents::settings::AgentProgram;
use crate::clock;

/// A server that is written to and answers by hand.
struct Bench {
    dispatch: Dispatch,
    queue: Arc<LineQueue>,
    now: Instant,
}

impl Bench {
    fn new(change: impl FnOnce(&mut AgentSettings)) -> Self {
        let mut settings = AgentSettings::usual(AgentProgram::CodexAppServer);
        change(&mut settings);
        let now = clock::now();
        Self { dispatch: Dispatch::new(&settings, now), queue: Arc::new(LineQueue::default()), now }
    }

    /// What was written since.
    fn written(&mut self) -> Vec<Value> {
        let mut all = Vec::new();
        while let Some(line) = self.dispatch.next_out() {
            all.push(serde_json::from_slice(&line).expect("JSON"));
        }
        all
    }

    fn says(&mut self, message: &Value) {
        self.dispatch.line(&format!("{message}\n").into(), self.now);
    }

    fn begin(&mut self, thread: &str, tools: &[&str], on_end: OnEnd) {
        let params = json!({ "threadId": thread, "input": [] });
        let tools = tools.iter().map(|tool| (*tool).to_owned()).collect();
        let queue = Arc::clone(&self.queue);
        // Who waits for the answer is of no matter here.
        drop(self.dispatch.start_turn(thread, &params, queue, tools, on_end, self.now).expect("begun"));
    }

    /// Begins a turn and answers its call.
    fn run(&mut self, thread: &str, turn: &str, tools: &[&str], on_end: OnEnd) {
        self.begin(thread, tools, on_end);
        let id = self.written().pop().expect("a call")["id"].clone();
        self.says(&json!({ "id": id, "result": { "turn": { "id": turn, "status": "inProgress" } } }));
    }

    fn notify(&mut self, method: &str, params: &Value) {
        self.says(&json!({ "method": method, "params": params }));
    }

    fn delta(&mut self, thread: &str, turn: &str, text: &str) {
        let params = json!({ "threadId": thread, "turnId": turn, "itemId": "m", "delta": text });
        self.notify("item/agentMessage/delta", &params);
    }

    fn over(&mut self, thread: &str, turn: &str, status: &str) {
        self.notify(
            "turn/completed",
            &json!({ "threadId": thread, "turn": { "id": turn, "status": status } }),
        );
    }

    /// The methods that have come, and how they ended.
    fn lines(&self) -> (Vec<String>, Option<Result<(), FailureKind>>) {
        let mut methods = Vec::new();
        loop {
            match self.queue.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => return (methods, None),
                Poll::Ready(Err(QueueEnd::Clean)) => return (methods, Some(Ok(()))),
                Poll::Ready(Err(QueueEnd::Broken(failure))) => return (methods, Some(Err(failure.kind))),
                Poll::Ready(Ok(line)) => {
                    let line: Value = serde_json::from_slice(&line).expect("JSON");
                    methods.push(line["method"].as_str().expect("a method").to_owned());
                }
            }
        }
    }
}

fn nothing() -> OnEnd {
    Box::new(|_| Vec::new())
}

#[tokio::test(start_paused = true)]
async fn a_turn_gets_its_own_lines_and_no_others() {
    let mut bench = Bench::new(|_| {});
    bench.begin("t", &[], nothing());
    bench.delta("t", "old", "of the turn before");
    bench.delta("t", "a", "early");
    assert_eq!(bench.lines(), (vec![], None), "held until its name is known");
    bench.says(&json!({ "id": 1, "result": { "turn": { "id": "a" } } }));
    bench.delta("other", "a", "x");
    bench.delta("t", "b", "x");
    bench.dispatch.line(&"no JSON\n".into(), bench.now);
    bench.delta("t", "a", "mine");
    bench.over("t", "a", "completed");
    bench.delta("t", "a", "late");
    let delta = "item/agentMessage/delta".to_owned();
    assert_eq!(bench.lines(), (vec![delta.clone(), delta, "turn/completed".to_owned()], Some(Ok(()))));
    assert_eq!((bench.dispatch.running(), bench.dispatch.unreadable()), (0, 1));
    assert!(bench.dispatch.idle_since().is_some());
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_turn_tells_what_was_said() {
    let mut bench = Bench::new(|_| {});
    let (send, told) = std::sync::mpsc::channel();
    bench.run(
        "t",
        "a",
        &[],
        Box::new(move |end| {
            send.send(end).expect("told");
            vec![Bytes::from_static(b"{\"method\":\"latimer/file\"}\n")]
        }),
    );
    let item = |text: &str| json!({ "threadId": "t", "turnId": "a", "item": { "type": "agentMessage", "text": text } });
    bench.notify("item/completed", &item("one"));
    bench.notify("item/completed", &item("two"));
    bench.over("t", "a", "completed");
    let end = told.try_recv().expect("told in the same step");
    assert_eq!((end.answer.as_str(), end.turn.as_str(), end.is_completed), ("one\ntwo\n", "a", true));
    let (lines, _) = bench.lines();
    assert_eq!(lines.last().map(String::as_str), Some("turn/completed"), "a file comes before it");
    assert!(lines.contains(&"latimer/file".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn two_turns_of_one_thread_are_never_joined() {
    let mut bench = Bench::new(|_| {});
    bench.run("t", "a", &[], nothing());
    let queue = Arc::clone(&bench.queue);
    let second = bench.dispatch.start_turn("t", &json!({}), queue, Vec::new(), nothing(), bench.now);
    assert!(matches!(second, Err(CallError::Busy)));
    assert!(bench.written().is_empty(), "nothing was sent into the turn that runs");
}

#[tokio::test(start_paused = true)]
async fn who_leaves_interrupts_and_a_command_is_ended_too() {
    let mut bench = Bench::new(|_| {});
    bench.run("t", "a", &[], nothing());
    let queue = Arc::clone(&bench.queue);
    bench.dispatch.leave("t", &queue, false, bench.now);
    let methods: Vec<Value> = bench.written().into_iter().map(|line| line["method"].clone()).collect();
    assert_eq!(methods, ["turn/interrupt", "thread/backgroundTerminals/clean"]);
    assert_eq!(bench.lines().1, Some(Err(FailureKind::Interrupted)));
    assert!(bench.dispatch.tick(bench.now).is_ok());
    assert!(bench.dispatch.tick(bench.now + INTERRUPT).is_err(), "it heeds nothing: it is ended");
    bench.over("t", "a", "interrupted");
    assert!(bench.dispatch.tick(bench.now + INTERRUPT).is_ok());
    assert!(!bench.dispatch.interrupt("t", bench.now), "nothing runs");
    bench.dispatch.leave("t", &queue, false, bench.now);
    assert!(bench.written().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_leaves_before_the_turn_has_a_name_interrupts_as_soon_as_it_has() {
    let mut bench = Bench::new(|_| {});
    bench.begin("t", &[], nothing());
    bench.written();
    let queue = Arc::clone(&bench.queue);
    bench.dispatch.leave("t", &queue, false, bench.now);
    assert!(bench.written().is_empty());
    bench.says(&json!({ "id": 1, "result": { "turn": { "id": "a" } } }));
    let written = bench.written();
    assert_eq!(
        (&written[0]["method"], &written[0]["params"]["turnId"]),
        (&json!("turn/interrupt"), &json!("a"))
    );
}

#[tokio::test(start_paused = true)]
async fn words_that_come_while_a_turn_runs_are_steered_or_begin_the_next_one() {
    for steer in [Steer::Queue, Steer::Steer] {
        let mut bench = Bench::new(|settings| settings.steer = steer);
        bench.begin("t", &[], nothing());
        assert_eq!(bench.dispatch.push("t", "early"), Pushed::Taken, "before it has a name");
        bench.written();
        bench.says(&json!({ "id": 1, "result": { "turn": { "id": "a" } } }));
        assert_eq!(bench.dispatch.push("t", "more"), Pushed::Taken);
        let steered = bench.written();
        assert_eq!(steered.len(), if steer == Steer::Steer { 2 } else { 0 });
        // An old server says yes to everything; the first of both is seen, the second is lost.
        for line in &steered {
            bench.says(&json!({ "id": line["id"], "result": { "turnId": "a" } }));
        }
        if let Some(seen) = steered.first() {
            let item = json!({ "type": "userMessage", "clientId": seen["params"]["clientUserMessageId"] });
            bench.notify("item/completed", &json!({ "threadId": "t", "turnId": "a", "item": item }));
        }
        bench.lines();
        bench.over("t", "a", "completed");
        assert_eq!(bench.lines(), (vec![], None), "the answer goes on");
        let next = bench.written();
        let texts: Vec<&str> = next[0]["params"]["input"]
            .as_array()
            .expect("an input")
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect();
        assert_eq!(texts, if steer == Steer::Steer { vec!["more"] } else { vec!["early", "more"] });
        bench.says(&json!({ "id": next[0]["id"], "result": { "turn": { "id": "b" } } }));
        bench.over("t", "b", "completed");
        assert_eq!(bench.lines().1, Some(Ok(())));
        assert_eq!(bench.dispatch.push("t", "late"), Pushed::Over);
    }
}

/// The instant at which a turn ends: whatever order the two come in, a word that was taken is seen or begins a turn.
#[tokio::test(start_paused = true)]
async fn a_word_at_the_instant_a_turn_ends_is_never_lost() {
    let mut taken = 0;
    for round in 0..1000_u32 {
        let steer = if round % 2 == 0 { Steer::Steer } else { Steer::Queue };
        let mut bench = Bench::new(|settings| settings.steer = steer);
        bench.run("t", "a", &[], nothing());
        // Where in the six steps around the end the word comes, and whether the server still hears of it.
        let (at, hears, refuses) = (round / 2 % 6, round / 12 % 2 == 0, round / 24 % 2 == 0);
        let mut pushed = Pushed::Over;
        let mut begun = Vec::new();
        for step in 0..6 {
            if step == at {
                pushed = bench.dispatch.push("t", "word");
            }
            match step {
                1 => bench.delta("t", "a", "x"),
                2 => {
                    for line in bench.written() {
                        let name = line["params"]["clientUserMessageId"].clone();
                        let answer = if refuses { "error" } else { "result" };
                        let body = json!({ "message": "no active turn to steer", "turnId": "a" });
                        bench.says(&json!({ "id": line["id"], answer: body }));
                        if hears && !refuses {
                            let item = json!({ "type": "userMessage", "clientId": name });
                            bench.notify(
                                "item/completed",
                                &json!({ "threadId": "t", "turnId": "a", "item": item }),
                            );
                            begun.push(json!("word"));
                        }
                    }
                }
                3 => bench.over("t", "a", "completed"),
                _ => {}
            }
        }
        for line in bench.written() {
            if line["method"] == "turn/start" {
                begun.push(line["params"]["input"][0]["text"].clone());
            }
        }
        let wanted = if pushed == Pushed::Taken { vec![json!("word")] } else { Vec::new() };
        assert_eq!(begun, wanted, "round {round}: {pushed:?} at step {at}");
        taken += u32::from(pushed == Pushed::Taken);
    }
    assert!((400..900).contains(&taken), "{taken} of 1000 came in time");
}

#[tokio::test(start_paused = true)]
async fn a_call_of_the_client_s_tool_waits_and_goes_on_in_the_same_turn() {
    let mut bench = Bench::new(|_| {});
    bench.run("t", "a", &["f"], nothing());
    let call = |name: &str, tool: &str| json!({ "threadId": "t", "turnId": "a", "callId": name, "tool": tool, "arguments": {} });
    bench.says(&json!({ "id": "r1", "method": "item/tool/call", "params": call("c1", "f") }));
    bench.says(&json!({ "id": 8, "method": "item/tool/call", "params": call("c2", "f") }));
    bench.says(&json!({ "id": 9, "method": "item/tool/call", "params": call("c3", "unknown") }));
    let written = bench.written();
    assert_eq!(written, [json!({ "id": 9, "result": { "success": false, "contentItems": [] } })]);
    let queue = Arc::clone(&bench.queue);
    bench.dispatch.leave("t", &queue, true, bench.now);
    assert!(bench.written().is_empty(), "it waits");
    let said = [Part::Text { text: "7".to_owned() }];
    let next = Arc::new(LineQueue::default());
    let outputs: [(&str, &[Part]); 2] = [("c1", &said), ("c2", &said)];
    assert_eq!(bench.dispatch.unpark(&outputs, &next, nothing(), bench.now).as_deref(), Some("t"));
    let ids: Vec<Value> = bench.written().into_iter().map(|line| line["id"].clone()).collect();
    assert_eq!(ids, [json!("r1"), json!(8)]);
    bench.queue = next;
    bench.over("t", "a", "completed");
    assert_eq!(bench.lines().1, Some(Ok(())));
}

#[tokio::test(start_paused = true)]
async fn outputs_that_never_come_end_the_turn() {
    let mut bench = Bench::new(|_| {});
    bench.run("t", "a", &["f"], nothing());
    let params = json!({ "threadId": "t", "turnId": "a", "callId": "c1", "tool": "f" });
    bench.says(&json!({ "id": 7, "method": "item/tool/call", "params": params }));
    let queue = Arc::clone(&bench.queue);
    bench.dispatch.leave("t", &queue, true, bench.now);
    let park = bench.dispatch.park;
    bench.dispatch.tick(bench.now + park).expect("alive");
    assert_eq!(bench.written()[0]["method"], "turn/interrupt");
}

#[tokio::test(start_paused = true)]
async fn death_is_told_to_every_call_and_every_turn_at_once() {
    let mut bench = Bench::new(|_| {});
    bench.run("t", "a", &[], nothing());
    let mut reply = bench.dispatch.call("thread/read", &json!({}), bench.now).expect("asked");
    let failure = Failure::new(FailureKind::Interrupted, "signal 9");
    bench.dispatch.end(&failure);
    assert!(matches!(reply.try_recv(), Ok(Err(CallError::Died(_)))));
    assert_eq!(bench.lines().1, Some(Err(FailureKind::Interrupted)));
    assert!(matches!(bench.dispatch.call("x", &json!({}), bench.now), Err(CallError::Died(_))));
    assert_eq!(bench.dispatch.push("t", "x"), Pushed::Over);
}

#[tokio::test(start_paused = true)]
async fn a_new_try_is_no_sign_of_life_and_a_tool_that_works_is_no_silence() {
    let mut bench = Bench::new(|_| {});
    bench.run("t", "a", &[], nothing());
    let begun = bench.queue.signs().last;
    bench.now += Duration::from_secs(5);
    bench.notify("error", &json!({ "threadId": "t", "turnId": "a", "willRetry": true, "error": {} }));
    assert_eq!(bench.queue.signs().last, begun);
    let item = |kind: &str| json!({ "threadId": "t", "turnId": "a", "item": { "type": kind } });
    bench.notify("item/started", &item("commandExecution"));
    assert_eq!((bench.queue.signs().last, bench.queue.signs().open_tools), (bench.now, 1));
    bench.notify("item/completed", &item("commandExecution"));
    bench.notify("item/completed", &item("commandExecution"));
    assert_eq!(bench.queue.signs().open_tools, 0);
}
