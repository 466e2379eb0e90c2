//! One account, many who want a credential: who asks, who waits, who is told no.

use futures_util::future::join_all;
use serde_json::json;

use super::*;
use crate::accounts::tests::{Lab, NOW, granted, revoked, tokens};

fn down() -> (u16, serde_json::Value) {
    (503, json!({ "error": "busy" }))
}

fn access(credential: &Credential) -> String {
    credential.secret.expose().to_owned()
}

/// As if this much time had passed since the last refresh failed.
fn let_pass(account: &Account, time: Duration) {
    let mut inner = account.lock();
    let (_, at) = inner.failed.as_mut().expect("a refresh that failed");
    *at = at.checked_sub(time).expect("a clock that counts from before");
}

/// However slow the machine is, the last refresh failed just now.
fn hold(account: &Account) {
    let mut inner = account.lock();
    let (_, at) = inner.failed.as_mut().expect("a refresh that failed");
    *at = clock::now() + Duration::from_secs(3600);
}

/// Waits for the refresh that is under way.
async fn refreshed(account: &Account) {
    let running = account.lock().running.clone();
    if let Some(running) = running {
        let _ = running.await;
    }
}

#[tokio::test]
async fn a_good_token_is_sent_and_nobody_is_asked() {
    let lab = Lab::new([]).await;
    lab.own(&tokens("me@test", "at-1", EARLY + 1));
    let account = lab.account(Login::Google);
    let credential = account.credential(NOW).await.expect("good");
    assert_eq!((access(&credential).as_str(), credential.id.as_str()), ("at-1", "me@test"));
    assert!(credential.is_access_token());
    assert!(account.lock().running.is_none());
    assert_eq!(lab.asked(), 0);
}

#[tokio::test]
async fn many_who_wait_for_a_token_ask_once() {
    let lab = Lab::new([granted("at-2", 3600)]).await;
    let path = lab.own(&tokens("me@test", "at-1", 0));
    let account = lab.account(Login::Google);
    let all = join_all((0..20).map(|_| account.credential(NOW))).await;
    for credential in all {
        assert_eq!(access(&credential.expect("refreshed")), "at-2");
    }
    assert_eq!(lab.asked(), 1);
    let written = file::read(&path).expect("read");
    assert_eq!(written.access, Secret::new("at-2"), "written down before anybody uses it");
    assert_eq!((written.refresh, written.expires_at), (Some(Secret::new("rt-of-at-2")), Some(NOW + 3600)));
    let body = lab.service.requests().remove(0).text;
    assert!(body.contains("grant_type=refresh_token") && body.contains("refresh_token=rt-1"), "{body}");
}

#[tokio::test]
async fn a_token_that_ends_soon_is_sent_and_refreshed_on_the_side() {
    let lab = Lab::new([granted("at-2", 100)]).await;
    lab.own(&tokens("me@test", "at-1", EARLY));
    let account = lab.account(Login::Google);
    assert_eq!(access(&account.credential(NOW).await.expect("still good")), "at-1");
    refreshed(&account).await;
    assert_eq!(access(&account.credential(NOW).await.expect("good")), "at-2");
    assert_eq!(account.lock().early, 25, "a short life is refreshed in its last quarter");
    assert_eq!(access(&account.credential(NOW + 74).await.expect("good")), "at-2");
    assert!(account.lock().running.is_none(), "not yet");
    assert_eq!(lab.asked(), 1);
}

#[tokio::test]
async fn who_leaves_stops_no_refresh() {
    let lab = Lab::new([granted("at-2", 3600)]).await;
    lab.own(&tokens("me@test", "at-1", 0));
    let account = lab.account(Login::Google);
    assert!(account.credential(NOW).now_or_never().is_none(), "it waits, and leaves");
    refreshed(&account).await;
    assert_eq!(access(&account.credential(NOW).await.expect("good")), "at-2");
    assert_eq!(lab.asked(), 1);
}

#[tokio::test]
async fn after_a_refresh_that_failed_nobody_asks_again_for_a_while() {
    let lab = Lab::new([down(), granted("at-2", 3600)]).await;
    lab.own(&tokens("me@test", "at-1", 0));
    let account = lab.account(Login::Google);
    let first = account.credential(NOW).await.expect_err("down");
    assert_eq!(first.kind, FailureKind::Overloaded);
    hold(&account);
    for _ in 0..3 {
        assert_eq!(account.credential(NOW).await.expect_err("paused"), first);
    }
    assert_eq!(lab.asked(), 1);
    assert_eq!(account.state(NOW).state, "expired", "a person has nothing to do");
    let_pass(&account, PAUSE + Duration::from_secs(3600));
    assert_eq!(access(&account.credential(NOW).await.expect("up again")), "at-2");
    assert_eq!((lab.asked(), account.state(NOW).state.as_str()), (2, "ok"));
}

#[tokio::test]
async fn a_failure_while_the_token_is_still_good_is_nobodys_failure() {
    let lab = Lab::new([down()]).await;
    lab.own(&tokens("me@test", "at-1", 10));
    let account = lab.account(Login::Google);
    assert_eq!(access(&account.credential(NOW).await.expect("still good")), "at-1");
    refreshed(&account).await;
    hold(&account);
    assert_eq!(access(&account.credential(NOW).await.expect("still good")), "at-1");
    assert!(account.credential(NOW + 10).await.is_err(), "now it has ended");
    assert_eq!(lab.asked(), 1);
}

#[tokio::test]
async fn a_refresh_token_that_was_refused_is_not_sent_again_until_a_person_logs_in() {
    let lab = Lab::new([revoked(), granted("at-3", 3600)]).await;
    let path = lab.own(&tokens("me@test", "at-1", 0));
    let account = lab.account(Login::Google);
    let dead = account.credential(NOW).await.expect_err("refused");
    assert_eq!(dead.kind, FailureKind::Unauthorized);
    assert!(dead.message.contains("latimer login google"), "{dead}");
    assert_eq!(account.state(NOW).state, "needs_login");
    let_pass(&account, PAUSE);
    assert_eq!(account.credential(NOW).await.expect_err("still refused"), dead);
    assert_eq!(lab.asked(), 1);
    let again = Tokens { refresh: Some(Secret::new("rt-2")), ..tokens("me@test", "at-2", 0) };
    file::write(&path, Login::Google, &again).expect("written");
    let_pass(&account, PAUSE);
    assert_eq!(access(&account.credential(NOW).await.expect("logged in")), "at-3");
    assert_eq!(account.state(NOW).state, "ok");
}

#[tokio::test]
async fn a_credential_that_was_refused_is_renewed_once_for_all_who_sent_it() {
    let lab = Lab::new([granted("at-2", 3600)]).await;
    lab.own(&tokens("me@test", "at-1", 3600));
    let account = lab.account(Login::Google);
    let refused = account.credential(NOW).await.expect("good by its date");
    let all = join_all((0..5).map(|_| account.renew(&refused, NOW))).await;
    for credential in all {
        assert_eq!(access(&credential.expect("renewed")), "at-2");
    }
    let late = account.renew(&refused, NOW).await.expect("renewed already");
    assert_eq!((access(&late).as_str(), lab.asked()), ("at-2", 1));
}

#[tokio::test]
async fn a_newer_token_of_the_vendors_tool_is_taken_and_its_file_is_left_alone() {
    let lab = Lab::new([granted("at-3", 3600)]).await;
    let path = lab.vendor("at-1", NOW);
    let account = lab.account(Login::Google);
    lab.vendor("at-2", NOW + 3600);
    assert_eq!(access(&account.credential(NOW).await.expect("refreshed by the tool")), "at-2");
    assert_eq!(lab.asked(), 0);
    let written = std::fs::read(&path).expect("read");
    let refused = account.credential(NOW).await.expect("good");
    assert_eq!(access(&account.renew(&refused, NOW).await.expect("renewed")), "at-3");
    assert_eq!(std::fs::read(&path).expect("read"), written, "a vendor's file is only ever read");
    let kept = file::vendor_copy_path(&lab.places.state_dir, Login::Google, account.id());
    assert_eq!(file::read(&kept).expect("kept beside").access, Secret::new("at-3"));
}

#[tokio::test]
async fn the_project_of_an_own_account_is_written_down_once() {
    let lab = Lab::new([]).await;
    let path = lab.own(&tokens("me@test", "at-1", 3600));
    let account = lab.account(Login::Google);
    account.set_project("p-1".to_owned());
    account.set_project("p-2".to_owned());
    while file::read(&path).expect("read").project.is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(file::read(&path).expect("read").project.as_deref(), Some("p-1"));
    assert_eq!(account.credential(NOW).await.expect("good").project.as_deref(), Some("p-1"));
    let vendor_path = lab.vendor("at-9", NOW + 3600);
    let written = std::fs::read(&vendor_path).expect("read");
    let accounts = crate::accounts::load(Login::Google, &lab.places).accounts;
    accounts[1].set_project("p-3".to_owned());
    tokio::task::yield_now().await;
    assert_eq!(accounts[1].credential(NOW).await.expect("good").project.as_deref(), Some("p-3"));
    assert_eq!(std::fs::read(&vendor_path).expect("read"), written);
}

#[tokio::test]
async fn a_refresh_keeps_the_project() {
    let lab = Lab::new([granted("at-2", 3600)]).await;
    lab.own(&Tokens { project: Some("p-1".to_owned()), ..tokens("me@test", "at-1", 0) });
    let account = lab.account(Login::Google);
    assert_eq!(account.credential(NOW).await.expect("refreshed").project.as_deref(), Some("p-1"));
}

#[tokio::test]
async fn the_state_of_an_account_says_who_can_help_and_holds_no_token() {
    let lab = Lab::new([]).await;
    let places = || Arc::clone(&lab.places);
    let made = |login, own, refresh: Option<&str>, ends_in| {
        let tokens = Tokens { refresh: refresh.map(Secret::new), ..tokens("me@test", "at-secret", ends_in) };
        Arc::new(Account::new(login, PathBuf::from("/home/me/auth.json"), own, tokens, places()))
    };
    for (login, own, refresh, ends_in, state) in [
        (Login::Google, true, Some("rt"), 1, "ok"),
        (Login::Google, true, Some("rt"), 0, "expired"),
        (Login::Google, true, None, 0, "needs_login"),
        (Login::Google, false, Some("rt"), 0, "expired"),
        (Login::ChatGpt, true, Some("rt"), 0, "expired"),
        (Login::ChatGpt, false, Some("rt"), 0, "needs_login"),
    ] {
        let account = made(login, own, refresh, ends_in);
        let found = account.state(NOW);
        assert_eq!(found.state, state, "{login:?} {own} {refresh:?} {ends_in}");
        assert_eq!(found.source, if own { "latimer" } else { "/home/me/auth.json" });
        assert_eq!((found.login.as_str(), found.id.as_str()), (login.name(), "me@test"));
        assert!(!format!("{found:?} {account:?}").contains("at-secret"));
    }
}

#[tokio::test]
async fn a_key_of_command_code_is_sent_as_a_key() {
    let lab = Lab::new([]).await;
    let endless = Tokens { expires_at: None, ..tokens("me", "key", 0) };
    let account = Account::new(Login::CommandCode, PathBuf::new(), false, endless, Arc::clone(&lab.places));
    let credential = Arc::new(account).credential(NOW).await.expect("without an end");
    assert!(!credential.is_access_token());
}
