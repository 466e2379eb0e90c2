//! What a request wants done: what the router finds, and only `dispatch` carries out.

use crate::http::refusal::Refusal;
use crate::inbound::gemini::target::Target;

/// What a method does at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action<'p> {
    /// Begins a turn.
    Turn(Turn),
    /// Begins a turn of a Gemini client, or counts its tokens.
    Gemini(Target),
    /// Counts tokens, without asking a model.
    Count(Count),
    /// Works with a stored response.
    Stored(Stored<'p>),
    /// Shows something.
    Document(DocumentRequest<'p>),
    /// Changes or shows what a running proxy does.
    Admin(Admin<'p>),
    /// Works with profiles, runs and messages.
    Agents(AgentsRequest<'p>),
    /// Shows a document to a page or to a script.
    Api(&'p str),
    /// Changes something for a page or a script.
    Change(&'p str),
    /// Shows the page, or a file of it.
    Page(&'p str),
    /// Makes a session of a one-time code.
    BeginSession,
    /// Shows figures.
    Metrics,
    /// Says whether the process lives.
    Alive,
    /// Says whether requests may be sent.
    Ready,
    /// Says that there is no such thing here.
    Unavailable(Unavailable),
    /// `OPTIONS` on a known path: the header `Allow`. Never grants a foreign origin.
    Options(String),
}

/// Turns whose path says nothing but their protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// One of the Responses API.
    Response,
    /// A compaction of the Responses API.
    Compaction,
    /// One of Chat Completions.
    Chat,
    /// One of Messages.
    Message,
}

/// Requests whose tokens are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// One of the Responses API.
    Response,
    /// One of Messages.
    Message,
}

/// What can be done with a stored response; each with its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored<'p> {
    /// Shows it.
    Get(&'p str),
    /// Deletes it.
    Delete(&'p str),
    /// Refuses to cancel it: it is over already.
    Cancel(&'p str),
    /// Lists the items of its request.
    InputItems(&'p str),
}

/// What can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DocumentRequest<'p> {
    /// The models, in the shape of the client's protocol.
    Models,
    /// One model; its id may contain `/`.
    Model(&'p str),
    /// The models as Google lists them.
    GeminiModels,
    /// One model as Google shows it.
    GeminiModel(&'p str),
    /// Accounts and keys, without their secrets.
    Accounts,
    /// The last turns.
    Turns,
    /// One of the last turns.
    Turn(&'p str),
    /// How the proxy is.
    Health,
    /// Name and version.
    Root,
}

/// What clients ask for and latimer does not offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unavailable {
    /// Pictures made by a model.
    Images,
}

impl Unavailable {
    /// What there is not, and what to do: a bare 404 would only look like a wrong address.
    pub(super) fn refusal(self) -> Refusal {
        match self {
            Self::Images => Refusal::invalid(400, "images_not_supported").message(
                "latimer makes no pictures: it translates conversations between clients and models, and has no image generation; ask a provider of pictures directly, with its own base URL and key, or switch the client's image tool off",
            ),
        }
    }
}

/// What the watchdog and the person may do with a running proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admin<'p> {
    /// Lists the overrides in force.
    Overrides,
    /// Puts an override in force.
    AddOverride,
    /// Takes back one override, or all.
    RemoveOverrides(Option<&'p str>),
    /// Forgets the limitations learned of one endpoint, or of all.
    Forget(Option<&'p str>),
    /// Ends the cooldowns of one endpoint, or of all.
    Retry(Option<&'p str>),
    /// Makes new connections to one endpoint, or to all.
    Reconnect(Option<&'p str>),
    /// Shows the watchdog's state.
    Watchdog,
    /// Cancels one order of the watchdog, or all.
    CancelOrder(Option<&'p str>),
}

/// What can be asked of `/v1/agents`; each with what its path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AgentsRequest<'p> {
    /// Lists the profiles.
    Profiles,
    /// Keeps a profile, in the place of an older one of its name.
    AddProfile,
    /// Shows a profile.
    Profile(&'p str),
    /// Forgets a profile.
    DeleteProfile(&'p str),
    /// Lists runs, the newest first.
    Runs,
    /// Begins a run.
    StartRun,
    /// Shows a run; waits for its end where it is asked to.
    Run(&'p str),
    /// Forgets a run that is over.
    DeleteRun(&'p str),
    /// Tells what happens in a run, from the beginning.
    RunEvents(&'p str),
    /// Says more to a run.
    PushInput(&'p str),
    /// Ends a run.
    CancelRun(&'p str),
    /// Lists messages.
    Messages,
    /// Sends a message.
    SendMessage,
    /// Takes the unread messages of a recipient.
    TakeMessages,
    /// Says that a message was read.
    ReadMessage(&'p str),
    /// Lists schedules, or the jobs of the proxy itself.
    Schedules,
    /// Makes a schedule.
    AddSchedule,
    /// Shows a schedule.
    Schedule(&'p str),
    /// Pauses a schedule, or has it go on.
    SwitchSchedule(&'p str),
    /// Deletes a schedule.
    DeleteSchedule(&'p str),
    /// Begins a run of a schedule now.
    RunSchedule(&'p str),
    /// Shows the processes of agents.
    Pools,
    /// Ends the processes of an agent; the next turn starts new ones.
    RestartPool(&'p str),
}

impl Action<'_> {
    /// Whether only clients with the token may have this done.
    pub(super) fn needs_token(&self) -> bool {
        !matches!(
            self,
            Self::Document(DocumentRequest::Health | DocumentRequest::Root)
                | Self::Options(_)
                | Self::Alive
                | Self::Ready
                | Self::Page(_)
                | Self::BeginSession
        )
    }

    /// Whether the token or a session is needed even where `server.auth` asks for none: whoever changes the configuration sends keys
    /// wherever they like, so being on the same machine is not enough.
    pub(super) fn is_for_owner(&self) -> bool {
        match self {
            Self::Change(_) | Self::Api("config") => true,
            // What stands in a conversation is nobody's business but the owner's.
            Self::Api(document) => document.ends_with("/requests"),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_tells_nothing_goes_without_the_token() {
        for open in [Action::Page(""), Action::BeginSession, Action::Document(DocumentRequest::Root)] {
            assert!(!open.needs_token(), "{open:?}");
        }
        for closed in [Action::Api("turns"), Action::Change("codes"), Action::Turn(Turn::Chat)] {
            assert!(closed.needs_token(), "{closed:?}");
        }
        for owned in [
            Action::Api("config"),
            Action::Api("turns/t1/requests"),
            Action::Change("codes"),
            Action::Change("config"),
        ] {
            assert!(owned.is_for_owner(), "{owned:?}");
        }
        assert!(!Action::Api("turns").is_for_owner());
    }
}
