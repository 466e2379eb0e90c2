//! Proxies that are shell scripts: started, replaced, adopted, ended.

use super::*;

/// A supervisor whose proxies are this shell script.
fn supervisor(
    dir: &std::path::Path,
    script: &str,
    holds: bool,
) -> (Supervisor, mpsc::Receiver<SupervisorInput>) {
    let listener = super::super::socket::bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let address = listener.local_addr().expect("an address");
    let program = Program {
        path: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        environment: Box::new(|| vec![("PATH".into(), "/usr/bin:/bin".into())]),
    };
    let api = Arc::new(ProxyClient::new(address, None));
    Supervisor::new(program, holds.then_some(listener), address, Registry::new(dir), api)
}

async fn next(supervisor: &mut Supervisor, events: &mut mpsc::Receiver<SupervisorInput>) -> SupervisorEvent {
    loop {
        let event = events.recv().await.expect("the supervisor holds a sender");
        match supervisor.hear(event) {
            Some(SupervisorEvent::Line(..)) | None => {}
            Some(news) => return news,
        }
    }
}

#[tokio::test]
async fn an_end_is_a_death_a_leave_or_what_was_asked_for() {
    let dir = tempfile::tempdir().expect("a directory");
    for (script, want) in [("exit 3", "died"), ("exit 0", "left"), ("exec sleep 60", "ended")] {
        let (mut supervisor, mut events) = supervisor(dir.path(), script, true);
        supervisor.start(false).expect("started");
        let identity = supervisor.current().expect("one runs");
        assert_eq!(supervisor.processes(), [identity]);
        if want == "ended" {
            supervisor.kill();
        }
        let got = match next(&mut supervisor, &mut events).await {
            SupervisorEvent::Died(who, exit) if who == identity && exit.code == Some(3) => "died",
            SupervisorEvent::Left(who, _) if who == identity => "left",
            SupervisorEvent::Ended(who, exit) if who == identity && exit.signal == Some(9) => "ended",
            other => panic!("{script}: {other:?}"),
        };
        assert_eq!(got, want);
        assert!(supervisor.is_empty(), "{script}");
        assert!(Registry::new(dir.path()).all().is_empty(), "{script}: it is struck out");
    }
}

#[tokio::test]
async fn one_that_was_to_follow_and_ends_changes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    // The first one finds no mark and stays; the second one finds it and ends.
    let mark = dir.path().join("mark");
    let script = format!("test -e {0} && exit 7; : > {0}; exec sleep 60", mark.display());
    let (mut supervisor, mut events) = supervisor(dir.path(), &script, true);
    supervisor.start(false).expect("started");
    let first = supervisor.current();
    while !mark.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    supervisor.replace().expect("begun");
    assert!(supervisor.is_replacing());
    let SupervisorEvent::NotReplaced(why) = next(&mut supervisor, &mut events).await else {
        panic!("replaced")
    };
    assert!(why.contains("exit code 7"), "{why}");
    assert_eq!(supervisor.current(), first);
    supervisor.kill_all();
}

#[tokio::test]
async fn an_adopted_proxy_is_asked_to_let_go_and_its_end_is_noticed() {
    let dir = tempfile::tempdir().expect("a directory");
    let script = "trap 'exit 0' USR1; echo ready; while :; do sleep 0.02; done";
    let mut orphan = std::process::Command::new("/bin/sh")
        .args(["-c", script])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut line = [0; 6];
    std::io::Read::read_exact(orphan.stdout.as_mut().expect("piped"), &mut line).expect("it is ready");
    let identity = Identity::of(orphan.id()).expect("it lives");
    let (mut supervisor, mut events) = supervisor(dir.path(), "exec sleep 60", false);
    supervisor.adopt(identity);
    assert_eq!(supervisor.current(), Some(identity));
    assert_eq!(supervisor.release(), Some(identity));
    assert_eq!(supervisor.current(), None);
    supervisor.start(false).expect("the port is free, so the next one has it");
    loop {
        if let SupervisorEvent::Ended(who, _) = next(&mut supervisor, &mut events).await {
            assert_eq!(who, identity);
            break;
        }
    }
    assert_eq!(orphan.wait().expect("buried").code(), Some(0));
    supervisor.kill_all();
}
