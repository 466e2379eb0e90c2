//! One file per command.

pub(crate) mod accounts;
pub(crate) mod assist;
pub(crate) mod background;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod dashboard;
pub(crate) mod demo;
pub(crate) mod endpoints;
pub(crate) mod env;
pub(crate) mod explain;
pub(crate) mod launch;
pub(crate) mod login;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod models;
pub(crate) mod presets;
pub(crate) mod scripted;
pub(crate) mod serve;
pub(crate) mod service;
pub(crate) mod status;
pub(crate) mod token;
pub(crate) mod usage;
pub(crate) mod use_model;
