//! `latimer agents send` and `inbox`.

use serde_json::{Value, json};

use super::ask::{Agents, escaped, text, words};
use crate::terminal::{print_line, print_lines};

#[derive(Debug, clap::Args)]
pub(super) struct SendArgs {
    /// A profile, any other name, or a run that is not over
    to: String,
    /// The words; `-`, or nothing, reads stdin
    text: Option<String>,
    /// Who sends it
    #[arg(long, value_name = "NAME", default_value = "person")]
    from: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct InboxArgs {
    /// The recipient: a profile, or any other name
    name: String,
    /// Take the unread ones: nobody else gets them
    #[arg(long)]
    take: bool,
}

pub(super) fn send(agents: &Agents, args: &SendArgs) -> anyhow::Result<()> {
    let body = json!({ "from": args.from, "to": args.to, "body": words(args.text.as_deref())? });
    let answer = agents.post("messages", &body)?;
    if agents.shows_json(&answer)? {
        return Ok(());
    }
    match answer["id"].as_u64() {
        Some(id) => print_line(&format!("message {id} waits for `{}`", args.to)),
        None => print_line(&format!("{} is told", args.to)),
    }
}

pub(super) fn inbox(agents: &Agents, args: &InboxArgs) -> anyhow::Result<()> {
    let document = if args.take {
        agents.post("messages/take", &json!({ "to": args.name }))?
    } else {
        agents.get(&format!("messages?state=unread&to={}", escaped(&args.name)))?
    };
    if agents.shows_json(&document)? {
        return Ok(());
    }
    let none = Vec::new();
    let messages = document["data"].as_array().unwrap_or(&none);
    if messages.is_empty() {
        return print_line(&format!("no unread message for `{}`", args.name));
    }
    print_lines(messages.iter().flat_map(lines))?;
    if document["has_more"] == true {
        print_line("there are more")?;
    }
    Ok(())
}

fn lines(message: &Value) -> Vec<String> {
    let mut lines = vec![format!("{}  from {}", message["id"], text(message, "from"))];
    lines.extend(text(message, "body").lines().map(|line| format!("  {line}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_told_with_its_sender() {
        let message = json!({ "id": 7, "from": "anna", "body": "The build\nis red" });
        assert_eq!(lines(&message), ["7  from anna", "  The build", "  is red"]);
    }
}
