//! `agent` of an endpoint: the program behind it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use latimer_adapters::agents::settings::{
    Activity, AgentLimits, AgentProgram, AgentProvider, AgentSettings, Approvals, Ask, ClientTools,
    McpServer, PoolStart, PoolStrategy, QueueLimits, Safety, Sandbox, Steer, ThreadLimits,
};
use latimer_protocol::secret::Secret;

use super::{Env, ReadFile};
use crate::config::Protocol;
use crate::config::read::{ProblemCollector, Table, Value};
use crate::config::schema;

/// Keys of an endpoint that mean nothing for a program.
const MEANINGLESS: [&str; 8] =
    ["base_url", "api_key", "api_key_env", "api_key_file", "login", "quirks", "headers", "ca_file"];
/// Most of what a number of processes or turns may be.
const MAX_NUMBER: u32 = 64;

/// The settings of an endpoint whose protocol is that of an agent, with what is said of it.
pub(super) fn settings(
    endpoint: &Table<'_, '_>,
    protocol: Protocol,
    env: Env<'_>,
    read_file: ReadFile<'_>,
    notes: &mut ProblemCollector<'_>,
) -> Option<Box<AgentSettings>> {
    let Protocol::Agent(program) = protocol else {
        if let Some(value) = endpoint.get("agent") {
            let message = "should be left out: it is for the protocols codex-exec, codex-app-server, claude-code and opencode";
            notes.problem(value.span, &value.path, message);
        }
        return None;
    };
    for name in MEANINGLESS {
        if let Some(value) = endpoint.get(name) {
            let message =
                "means nothing for an agent, which is a program; its model's place goes into agent.provider";
            notes.problem(value.span, &value.path, message);
        }
    }
    let mut settings = AgentSettings::usual(program);
    if let Some(table) = endpoint.table("agent", notes) {
        table.only(&schema::AGENT, notes);
        read(&mut settings, &table, env, read_file, notes);
        refuse(&settings, &table, notes);
    }
    Some(Box::new(settings))
}

fn read(
    settings: &mut AgentSettings,
    table: &Table<'_, '_>,
    env: Env<'_>,
    read_file: ReadFile<'_>,
    notes: &mut ProblemCollector<'_>,
) {
    if let Some(command) = table.string("command", notes) {
        settings.command = command;
    }
    settings.home = path(table, "home", "private", notes);
    settings.cwd = path(table, "cwd", "empty", notes);
    settings.model = table.string("model", notes);
    settings.provider =
        table.table("provider", notes).and_then(|table| provider(&table, env, read_file, notes));
    settings.pool = table.number_in("pool", 1..=MAX_NUMBER, notes).unwrap_or(settings.pool);
    settings.strategy = table.word("strategy", &PoolStrategy::NAMES, notes).unwrap_or(settings.strategy);
    settings.start = table.word("start", &PoolStart::NAMES, notes).unwrap_or(settings.start);
    settings.per_process =
        table.number_in("per_process", 1..=MAX_NUMBER, notes).unwrap_or(settings.per_process);
    if let Some(table) = table.table("queue", notes) {
        settings.queue = queue(&table, settings.queue, notes);
    }
    if let Some(table) = table.table("limits", notes) {
        settings.limits = limits(&table, settings.limits, notes);
    }
    settings.safety = safety(table, notes);
    settings.client_tools =
        table.word("client_tools", &ClientTools::NAMES, notes).unwrap_or(settings.client_tools);
    settings.activity = table.word("activity", &Activity::NAMES, notes).unwrap_or(settings.activity);
    settings.steer = table.word("steer", &Steer::NAMES, notes).unwrap_or(settings.steer);
    if let Some(table) = table.table("threads", notes) {
        settings.threads = threads(&table, settings.threads, notes);
    }
    if let Some(table) = table.table("mcp", notes) {
        let servers =
            table.entries().filter_map(|(name, value)| Some((name.to_owned(), mcp(&value, notes)?)));
        settings.mcp = servers.collect();
    }
    if let Some(value) = table.get("config")
        && let serde_json::Value::Object(config) = value.json(notes)
    {
        settings.config = config;
    }
    settings.instructions = instructions(table, read_file, notes);
    settings.idle_close = table.duration("idle_close", notes).unwrap_or(settings.idle_close);
}

/// What goes together only where a person says so, and what this program cannot do.
fn refuse(settings: &AgentSettings, table: &Table<'_, '_>, notes: &mut ProblemCollector<'_>) {
    let mut problem = |key: &str, message: &str| {
        let (span, path) =
            table.get(key).map_or((table.span.clone(), table.path.clone()), |value| (value.span, value.path));
        notes.problem(span, &path, message);
    };
    let safety = &settings.safety;
    if !safety.outside_sandbox {
        let needs = "needs outside_sandbox = true, by which you say that a container or another sandbox stands around all of this";
        if safety.approvals == Approvals::Accept {
            problem("approvals", &format!("\"accept\" {needs}"));
        }
        if safety.sandbox == Sandbox::FullAccess {
            problem("sandbox", &format!("\"danger-full-access\" {needs}"));
        }
    }
    if settings.client_tools == ClientTools::Forward && settings.program != AgentProgram::CodexAppServer {
        problem(
            "client_tools",
            "\"forward\" is for the protocol codex-app-server; use \"ignore\" or \"refuse\"",
        );
    }
    if settings.provider.is_some() && settings.home.is_some() {
        problem("provider", "is written into the agent's home, so that home must stay \"private\"");
    }
}

fn path(
    table: &Table<'_, '_>,
    key: &str,
    private: &str,
    notes: &mut ProblemCollector<'_>,
) -> Option<PathBuf> {
    let value = table.get(key)?;
    let text = value.string(notes).filter(|text| text != private)?;
    let path = PathBuf::from(text);
    if !path.is_absolute() {
        notes.problem(value.span, &value.path, format!("should be an absolute path, or \"{private}\""));
        return None;
    }
    Some(path)
}

fn provider(
    table: &Table<'_, '_>,
    env: Env<'_>,
    read_file: ReadFile<'_>,
    notes: &mut ProblemCollector<'_>,
) -> Option<AgentProvider> {
    table.only(&schema::AGENT_PROVIDER, notes);
    let base_url = table.string("base_url", notes);
    let is_url = |url: &String| url.starts_with("https://") || url.starts_with("http://");
    let Some(base_url) = base_url.filter(is_url) else {
        let message = "should be the URL of the agent's model, such as \"http://127.0.0.1:4180/v1\"";
        notes.problem(table.span.clone(), &format!("{}.base_url", table.path), message);
        return None;
    };
    let key = table.string("key", notes);
    let of_env = || {
        let value = table.get("key_env")?;
        let name = value.string(notes)?;
        let text = env(&name);
        if text.is_none() {
            let message = format!("the environment variable `{name}` is not set; requests will carry no key");
            notes.warning(value.span, &value.path, message);
        }
        text
    };
    let key = key.or_else(of_env);
    let key = match (key, table.get("key_file")) {
        (None, Some(value)) => value.string(notes).and_then(|path| match read_file(Path::new(&path)) {
            Ok(text) => Some(text.trim().to_owned()),
            Err(error) => {
                let message =
                    format!("`{path}` cannot be read ({}); requests will carry no key", error.kind());
                notes.warning(value.span, &value.path, message);
                None
            }
        }),
        (key, _) => key,
    };
    let base_url = base_url.trim_end_matches('/').to_owned();
    Some(AgentProvider { base_url, key: key.filter(|key| !key.is_empty()).map(Secret::new) })
}

fn queue(table: &Table<'_, '_>, usual: QueueLimits, notes: &mut ProblemCollector<'_>) -> QueueLimits {
    table.only(&schema::AGENT_QUEUE, notes);
    QueueLimits {
        size: table.number_in("size", 0..=10_000, notes).unwrap_or(usual.size),
        wait: table.duration("wait", notes).unwrap_or(usual.wait),
    }
}

fn limits(table: &Table<'_, '_>, usual: AgentLimits, notes: &mut ProblemCollector<'_>) -> AgentLimits {
    table.only(&schema::AGENT_LIMITS, notes);
    AgentLimits {
        start: table.duration("start", notes).unwrap_or(usual.start),
        call: table.duration("call", notes).unwrap_or(usual.call),
        idle: table.duration("idle", notes).unwrap_or(usual.idle),
        turn: table.duration("turn", notes).unwrap_or(usual.turn),
        park: table.duration("park", notes).unwrap_or(usual.park),
    }
}

fn safety(table: &Table<'_, '_>, notes: &mut ProblemCollector<'_>) -> Safety {
    let usual = Safety::default();
    Safety {
        own_tools: table.boolean("own_tools", notes).unwrap_or(usual.own_tools),
        sandbox: table.word("sandbox", &Sandbox::NAMES, notes).unwrap_or(usual.sandbox),
        ask: table.word("ask", &Ask::NAMES, notes).unwrap_or(usual.ask),
        approvals: table.word("approvals", &Approvals::NAMES, notes).unwrap_or(usual.approvals),
        outside_sandbox: table.boolean("outside_sandbox", notes).unwrap_or(usual.outside_sandbox),
    }
}

fn threads(table: &Table<'_, '_>, usual: ThreadLimits, notes: &mut ProblemCollector<'_>) -> ThreadLimits {
    table.only(&schema::AGENT_THREADS, notes);
    ThreadLimits {
        keep: table.number_in("keep", 1..=1_000_000, notes).unwrap_or(usual.keep),
        life: table.duration("life", notes).unwrap_or(usual.life),
        ephemeral: table.boolean("ephemeral", notes).unwrap_or(usual.ephemeral),
    }
}

fn mcp(value: &Value<'_, '_>, notes: &mut ProblemCollector<'_>) -> Option<McpServer> {
    let table = value.table(notes)?;
    table.only(&schema::AGENT_MCP, notes);
    let texts = |key: &str, notes: &mut ProblemCollector<'_>| -> BTreeMap<String, String> {
        let Some(table) = table.table(key, notes) else { return BTreeMap::new() };
        table.entries().filter_map(|(name, value)| Some((name.to_owned(), value.string(notes)?))).collect()
    };
    match (table.string("command", notes), table.string("url", notes)) {
        (Some(command), None) => {
            let args = table.get("args").map_or_else(Vec::new, |args| args.strings(notes));
            let args = args.into_iter().map(|(_, arg)| arg).collect();
            Some(McpServer::Program { command, args, env: texts("env", notes) })
        }
        (None, Some(url)) => Some(McpServer::Remote { url, headers: texts("headers", notes) }),
        _ => {
            notes.problem(value.span.clone(), &value.path, "should have either command or url");
            None
        }
    }
}

fn instructions(
    table: &Table<'_, '_>,
    read_file: ReadFile<'_>,
    notes: &mut ProblemCollector<'_>,
) -> Option<String> {
    if let Some(text) = table.string("instructions", notes) {
        return Some(text);
    }
    let value = table.get("instructions_file")?;
    let path = value.string(notes)?;
    match read_file(Path::new(&path)) {
        Ok(text) => Some(text),
        Err(error) => {
            notes.problem(value.span, &value.path, format!("`{path}` cannot be read ({})", error.kind()));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse::load;

    fn loaded(keys: &str) -> Result<AgentSettings, Vec<String>> {
        let text = format!("[[endpoint]]\nname = \"lab\"\n{keys}");
        let env = |name: &str| (name == "KEY").then(|| "sk-agent-0123456789".to_owned());
        let file = |path: &Path| match path.to_str() {
            Some("/i.md") => Ok("be brief".to_owned()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        };
        let parsed = load(&text, &env, &file);
        let parsed =
            parsed.map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        Ok(*parsed.config.endpoints[0].agent.clone().expect("an agent"))
    }

    #[test]
    fn nothing_said_is_the_safe_way() {
        for (name, program) in [
            ("codex-exec", AgentProgram::CodexExec),
            ("codex-app-server", AgentProgram::CodexAppServer),
            ("claude-code", AgentProgram::ClaudeCode),
            ("opencode", AgentProgram::OpenCode),
        ] {
            let settings = loaded(&format!("protocol = \"{name}\"")).expect("a configuration");
            assert_eq!(settings, AgentSettings::usual(program));
            assert_eq!(settings.safety, Safety::default());
            assert_eq!(settings.client_tools, ClientTools::Refuse);
        }
    }

    #[test]
    fn each_setting_has_its_key() {
        let settings = loaded(
            r#"protocol = "codex-app-server"
[endpoint.agent]
command = "/opt/codex"
cwd = "/srv/work"
model = "gpt-5.5"
provider = { base_url = "http://127.0.0.1:9/v1/", key_env = "KEY" }
pool = 2
strategy = "least_busy"
start = "eager"
per_process = 7
queue = { size = 3, wait = "5s" }
limits = { start = "1s", call = "2s", idle = "3s", turn = "4s", park = "5s" }
own_tools = true
sandbox = "danger-full-access"
ask = "on-request"
approvals = "accept"
outside_sandbox = true
client_tools = "forward"
activity = "summary"
steer = "steer"
threads = { keep = 9, life = "2h", ephemeral = true }
mcp = { lab = { command = "tool", args = ["-x"], env = { A = "1" } }, far = { url = "https://m.test" } }
config = { features = { goals = true }, n = 7 }
instructions_file = "/i.md"
idle_close = "1m"
"#,
        )
        .expect("a configuration");
        assert_eq!((settings.command.as_str(), settings.pool, settings.max_turns()), ("/opt/codex", 2, 14));
        let provider = settings.provider.expect("a provider");
        assert_eq!(provider.base_url, "http://127.0.0.1:9/v1");
        assert_eq!(provider.key.map(|key| key.expose().to_owned()).as_deref(), Some("sk-agent-0123456789"));
        assert_eq!((settings.queue.size, settings.limits.park.as_secs()), (3, 5));
        assert_eq!((settings.threads.keep, settings.threads.ephemeral), (9, true));
        assert_eq!((settings.strategy, settings.start), (PoolStrategy::LeastBusy, PoolStart::Eager));
        assert_eq!((settings.activity, settings.steer), (Activity::Summary, Steer::Steer));
        assert_eq!(settings.safety.sandbox, Sandbox::FullAccess);
        assert_eq!(settings.mcp.len(), 2);
        assert_eq!(settings.config["features"]["goals"], true);
        assert_eq!(settings.instructions.as_deref(), Some("be brief"));
    }

    #[test]
    fn what_is_dangerous_or_means_nothing_is_refused() {
        for (keys, word) in [
            ("protocol = \"codex-exec\"\nagent = { approvals = \"accept\" }", "outside_sandbox"),
            ("protocol = \"codex-exec\"\nagent = { sandbox = \"danger-full-access\" }", "outside_sandbox"),
            ("protocol = \"codex-exec\"\nagent = { client_tools = \"forward\" }", "codex-app-server"),
            ("protocol = \"codex-exec\"\nbase_url = \"https://a.test\"", "agent.provider"),
            ("protocol = \"codex-exec\"\nquirks = { tools = false }", "agent.provider"),
            ("protocol = \"chat\"\nbase_url = \"https://a.test\"\nagent = {}", "codex-exec"),
            ("protocol = \"codex-exec\"\nagent = { home = \"relative\" }", "absolute"),
            ("protocol = \"codex-exec\"\nagent = { stratgy = \"least_busy\" }", "did you mean `strategy`"),
            (
                "protocol = \"codex-exec\"\nagent = { home = \"/h\", provider = { base_url = \"http://a\" } }",
                "private",
            ),
            ("protocol = \"codex-exec\"\nagent = { mcp = { a = {} } }", "command or url"),
        ] {
            let problems = loaded(keys).expect_err(keys);
            assert!(problems.iter().any(|problem| problem.contains(word)), "{keys}: {problems:?}");
        }
    }
}
