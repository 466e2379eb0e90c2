//! One refresh: what is asked, what is not, and what stands in the file before and after.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use super::*;
use crate::accounts::tests::{Lab, NOW, granted, revoked, tokens};

/// The refresh of an own account of Google, whose file says this.
fn of(path: PathBuf, old: Tokens) -> RefreshRequest {
    RefreshRequest { login: Login::Google, own: true, path, old, refused: None, dead: None }
}

#[test]
fn a_vendors_refresh_token_is_used_only_where_it_is_good_for_more_than_once() {
    let with = tokens("me", "at", 0);
    let without = Tokens { refresh: None, ..with.clone() };
    for login in Login::ALL {
        let shared = matches!(login, Login::Google | Login::Antigravity);
        assert!(is_ours(login, true, &with), "{login:?}: our own");
        assert_eq!(is_ours(login, false, &with), shared, "{login:?}: the vendor's");
        assert!(!is_ours(login, true, &without) && !is_ours(login, false, &without), "{login:?}: none");
    }
}

#[tokio::test]
async fn what_would_log_the_vendors_tool_out_is_not_asked_for() {
    let lab = Lab::new([granted("at-2", 3600)]).await;
    let path = file::vendor_copy_path(&lab.places.state_dir, Login::ChatGpt, "me");
    let old = tokens("me", "at-1", 0);
    let request = RefreshRequest { login: Login::ChatGpt, own: false, ..of(path.clone(), old) };
    let failure = refresh(request, &lab.places, NOW).await.expect_err("not ours");
    assert_eq!(failure.kind, FailureKind::Unauthorized);
    assert!(failure.message.contains("latimer login chatgpt"), "{failure}");
    assert!(!path.exists() && lab.asked() == 0);
}

#[tokio::test]
async fn the_answer_stands_in_the_file_with_what_it_does_not_say() {
    let lab = Lab::new([(200, json!({ "access_token": "at-2", "expires_in": 60 }))]).await;
    let old = Tokens { project: Some("p-1".to_owned()), ..tokens("me", "at-1", 0) };
    let path = lab.own(&old);
    let newer = refresh(of(path.clone(), old.clone()), &lab.places, NOW).await.expect("refreshed");
    let wanted = Tokens { access: Secret::new("at-2"), expires_at: Some(NOW + 60), ..old };
    assert_eq!(
        (&newer, &file::read(&path).expect("read")),
        (&wanted, &wanted),
        "the old refresh token stays"
    );
    assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    let head = lab.service.requests().remove(0).head;
    assert!(head.contains("content-type: application/x-www-form-urlencoded"), "{head}");
}

#[tokio::test]
async fn a_token_that_another_process_got_is_taken() {
    let lab = Lab::new([]).await;
    let old = tokens("me", "at-1", 0);
    let path = lab.own(&tokens("me", "at-2", 3600));
    let newer = refresh(of(path, old), &lab.places, NOW).await.expect("got by another");
    assert_eq!((newer.access, lab.asked()), (Secret::new("at-2"), 0));
}

#[tokio::test]
async fn a_newer_token_that_has_ended_or_was_refused_is_refreshed_with_the_newer_refresh_token() {
    for (ends_in, refused) in [(0, None), (3600, Some(Secret::new("at-2")))] {
        let lab = Lab::new([granted("at-3", 3600)]).await;
        let in_file = Tokens { refresh: Some(Secret::new("rt-2")), ..tokens("me", "at-2", ends_in) };
        let path = lab.own(&in_file);
        let request = RefreshRequest { refused, ..of(path, tokens("me", "at-1", 0)) };
        let newer = refresh(request, &lab.places, NOW).await.expect("refreshed");
        assert_eq!(newer.access, Secret::new("at-3"));
        let body = lab.service.requests().remove(0).text;
        assert!(body.contains("refresh_token=rt-2"), "{body}");
    }
}

#[tokio::test]
async fn a_refusal_leaves_the_file_as_it_was() {
    let lab = Lab::new([revoked()]).await;
    let old = tokens("me", "at-1", 0);
    let path = lab.own(&old);
    let failure = refresh(of(path.clone(), old.clone()), &lab.places, NOW).await.expect_err("refused");
    assert_eq!(failure.kind, FailureKind::Unauthorized);
    assert_eq!(file::read(&path).expect("read"), old);
}

#[tokio::test]
async fn the_refusal_of_the_same_refresh_token_is_repeated_here() {
    let lab = Lab::new([granted("at-3", 3600)]).await;
    let old = tokens("me", "at-1", 0);
    let path = lab.own(&old);
    let dead = Failure::new(FailureKind::Unauthorized, "refused before");
    let again = RefreshRequest { dead: Some(dead.clone()), ..of(path.clone(), old.clone()) };
    assert_eq!(refresh(again, &lab.places, NOW).await.expect_err("known"), dead);
    assert_eq!(lab.asked(), 0);
    lab.own(&Tokens { refresh: Some(Secret::new("rt-2")), ..old.clone() });
    let again = RefreshRequest { dead: Some(dead), ..of(path, old) };
    assert_eq!(refresh(again, &lab.places, NOW).await.expect("a new login").access, Secret::new("at-3"));
}

#[tokio::test]
async fn what_cannot_be_written_is_not_asked_for() {
    let old = tokens("me", "at-1", 0);
    for own in [true, false] {
        let lab = Lab::new([granted("at-2", 3600)]).await;
        let path = lab.own(&old);
        std::fs::write(&path, "{\"id\":").expect("broken");
        let request = RefreshRequest { own, ..of(path.clone(), old.clone()) };
        let failure = refresh(request, &lab.places, NOW).await.expect_err("not writable");
        assert!(failure.message.contains(&path.display().to_string()), "{failure}");
        let kind = if own { FailureKind::Unauthorized } else { FailureKind::Internal };
        assert_eq!((failure.kind, lab.asked()), (kind, 0), "the refresh token may be good for one use only");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "{\"id\":");
    }
    let lab = Lab::new([granted("at-2", 3600)]).await;
    let no_folder = lab.dir.path().join("state").join(clients::FILE).join("me.json");
    let failure = refresh(of(no_folder, old), &lab.places, NOW).await.expect_err("not lockable");
    assert_eq!((failure.kind, lab.asked()), (FailureKind::Internal, 0));
}

#[tokio::test]
async fn of_a_vendors_account_only_what_was_made_of_its_present_refresh_token_counts() {
    for (refresh_token, asked) in [("rt-1", 0), ("rt-of-another-login", 1)] {
        let lab = Lab::new([granted("at-3", 3600)]).await;
        let path = file::vendor_copy_path(&lab.places.state_dir, Login::Google, "me");
        let kept = Tokens { refresh: Some(Secret::new(refresh_token)), ..tokens("me", "at-2", 3600) };
        file::write(&path, Login::Google, &kept).expect("written");
        let request = RefreshRequest { own: false, ..of(path, tokens("me", "at-1", 0)) };
        let newer = refresh(request, &lab.places, NOW).await.expect("a token");
        let wanted = if asked == 0 { "at-2" } else { "at-3" };
        assert_eq!((newer.access, lab.asked()), (Secret::new(wanted), asked), "{refresh_token}");
    }
}

#[tokio::test]
async fn two_refreshers_ask_once() {
    let lab = Lab::new([granted("at-2", 3600)]).await;
    let old = tokens("me", "at-1", 0);
    let path = lab.own(&old);
    let one = refresh(of(path.clone(), old.clone()), &lab.places, NOW);
    let other = refresh(of(path, old), &lab.places, NOW);
    let (one, other) = tokio::join!(one, other);
    assert_eq!(one.expect("refreshed").access, other.expect("taken over").access);
    assert_eq!(lab.asked(), 1, "the lock holds until the token stands in the file");
}
