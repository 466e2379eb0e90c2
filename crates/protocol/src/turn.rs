//! The hub: what is asked of a model ([`TurnRequest`]) and what happened ([`TurnEvent`]).
//!
//! Client protocols read their requests into a [`TurnRequest`] and write [`TurnEvent`]s as legal events of their own;
//! upstream adapters do the reverse. Both sides know only this file.
//!
//! Tools in the hub are plain functions with one flat name. Namespaces, freeform tools and other specialities of a client
//! protocol are lowered by that protocol's request reader and raised again by its event writer, per request.

mod event;
mod note;
mod opaque;
mod request;

pub use event::{EventSink, FinishReason, PassthroughFrame, RecordedEvents, TurnEvent, Usage};
pub use note::{CallDefect, Note, RepairNote, StreamNote};
pub use opaque::{OpaqueState, SealKey, StateOwner, family};
pub use request::{
    Call, CallOutput, Content, Format, Image, Item, Message, Reasoning, ReasoningItem, Role, Sampling, Tool,
    ToolChoice, TurnRequest,
};
