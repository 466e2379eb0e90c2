use latimer_protocol::turn::{Message, Sampling};

use super::*;
use crate::agents::settings::AgentSettings;

fn said(role: Role, text: &str) -> Item {
    Item::Message(Message { role, content: vec![Content::Text(text.to_owned())] })
}

fn written(turn: &TurnRequest, program: AgentProgram) -> AgentQuery {
    write(turn, &AgentSettings::usual(program)).0
}

fn turn(items: Vec<Item>) -> TurnRequest {
    TurnRequest { model: "m".to_owned(), items, ..TurnRequest::default() }
}

#[test]
fn a_conversation_is_split_into_before_and_now() {
    let turn = turn(vec![
        said(Role::System, "be brief"),
        said(Role::System, "be kind"),
        said(Role::User, "one"),
        said(Role::Assistant, "1"),
        said(Role::User, "two"),
        said(Role::User, "three"),
    ]);
    let query = written(&turn, AgentProgram::CodexExec);
    assert_eq!(query.instructions, "be brief\n\nbe kind");
    let (before, now) = query.split();
    assert_eq!((before.len(), now.len()), (2, 2));
    assert_eq!(words(&query.input()), "two\nthree");
    assert_eq!(
        query.as_transcript(),
        "The conversation so far:\n\n[User]\none\n\n[Assistant]\n1\n\nAnswer this now:\n\ntwo\nthree"
    );
    let body = serde_json::to_vec(&query).expect("JSON");
    assert_eq!(serde_json::from_slice::<AgentQuery>(&body).expect("the same"), query);
}

#[test]
fn what_an_agent_cannot_do_is_refused_with_the_remedy() {
    let picture = Content::Image(Image { url: "https://a.test/p.png".to_owned(), detail: None });
    let file = Content::File { name: None, data_url: "data:application/pdf;base64,AA".to_owned() };
    for (content, word) in [(picture, "data URLs"), (file, "no files")] {
        let message = Message { role: Role::User, content: vec![content] };
        let query = written(&turn(vec![Item::Message(message)]), AgentProgram::CodexAppServer);
        assert!(query.refusal.as_deref().is_some_and(|why| why.contains(word)), "{query:?}");
    }
    assert!(written(&turn(Vec::new()), AgentProgram::CodexExec).refusal.is_some());
    let schema = TurnRequest { format: Format::JsonObject, ..turn(vec![said(Role::User, "x")]) };
    assert!(written(&schema, AgentProgram::OpenCode).refusal.is_some());
    assert!(written(&schema, AgentProgram::CodexExec).schema.is_some());
}

#[test]
fn tools_of_a_client_are_refused_ignored_or_forwarded_as_the_endpoint_says() {
    let tool = Tool { name: "f".to_owned(), description: None, parameters: None, strict: None };
    let with_tools = TurnRequest { tools: vec![tool], ..turn(vec![said(Role::User, "x")]) };
    let ask = |what, program, turn: &TurnRequest| {
        let settings = AgentSettings { client_tools: what, ..AgentSettings::usual(program) };
        let (query, notes) = write(turn, &settings);
        (query.refusal.is_some(), query.tools.len(), notes.len())
    };
    let server = AgentProgram::CodexAppServer;
    assert_eq!(ask(ClientTools::Refuse, server, &with_tools), (true, 0, 0));
    assert_eq!(ask(ClientTools::Ignore, server, &with_tools), (false, 0, 1));
    assert_eq!(ask(ClientTools::Forward, server, &with_tools), (false, 1, 0));
    assert_eq!(ask(ClientTools::Forward, AgentProgram::CodexExec, &with_tools), (true, 0, 0));
    let forced = TurnRequest { tool_choice: ToolChoice::Required, ..with_tools.clone() };
    assert_eq!(ask(ClientTools::Forward, server, &forced), (true, 0, 0));
    let none = TurnRequest { tool_choice: ToolChoice::None, ..with_tools };
    assert_eq!(ask(ClientTools::Refuse, server, &none), (false, 0, 0));
}

#[test]
fn settings_that_agents_do_not_have_are_noted() {
    let sampling = Sampling { temperature: Some(0.1), ..Sampling::default() };
    let turn = TurnRequest { sampling, max_output_tokens: Some(9), ..turn(vec![said(Role::User, "x")]) };
    let (_, notes) = write(&turn, &AgentSettings::usual(AgentProgram::ClaudeCode));
    assert_eq!(notes.len(), 1);
    assert!(notes[0].to_string().contains("temperature, max_output_tokens"), "{}", notes[0]);
}
