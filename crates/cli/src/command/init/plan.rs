//! The endpoint that is about to be written, in the document of the configuration file.

use std::path::Path;

use anyhow::Context as _;
use latimer_adapters::model_list::ProviderModel;
use latimer_proxy::config::{Config, Endpoint, base_url, presets};
use toml_edit::{Array, Table, value};

use super::InitArgs;
use super::offer::{Entry, Offer};
use crate::command::endpoints::edit;
use crate::config_file::ConfigFile;
use crate::key_file::KeyFile;

/// The most models that an endpoint begins with.
const MAX_MODELS: usize = 40;

/// What will be written.
pub(super) struct Plan {
    /// The endpoint's name.
    pub(super) name: String,
    /// The model that will be asked for.
    pub(super) model: Option<String>,
    /// Whether the file did not have it before.
    pub(super) is_new: bool,
    preset: Option<&'static str>,
    /// A file with the key that was given.
    key_file: Option<KeyFile>,
}

impl Plan {
    /// Puts the endpoint into the document; one of this name that is there already is gone on with.
    ///
    /// # Errors
    /// A key that is to be given does not come, or cannot be kept.
    pub(super) fn new(
        file: &mut ConfigFile,
        path: &Path,
        offer: Offer,
        args: &InitArgs,
    ) -> anyhow::Result<Self> {
        let Offer { name, preset, base_url, entry } = offer;
        let is_new = file.place(&name).is_err();
        let is_first = file.document.is_empty();
        if is_new {
            let mut table = Table::new();
            table.decor_mut().set_prefix(if is_first { "" } else { "\n" });
            table.insert("name", value(&name));
            file.endpoints()?.push(table);
        }
        let table = file.endpoint(&name)?;
        if let Some(preset) = preset {
            table.insert("preset", value(preset));
        }
        if let Some(base_url) = base_url {
            table.insert("base_url", value(base_url::mended(&base_url).url));
        }
        let mut key_file = None;
        match entry {
            Entry::Usual => {}
            Entry::Variable(variable) => {
                table.insert("api_key_env", value(variable));
            }
            Entry::Given => {
                let kept = edit::keep_key(path, &name)?;
                table.insert("api_key_file", kept.item());
                key_file = Some(kept);
            }
        }
        let usual = preset.and_then(presets::find).and_then(|preset| preset.models.first().copied());
        let model = args.model.clone().or_else(|| usual.map(str::to_owned));
        let plan = Self { name, model, is_new, preset, key_file };
        if let Some(model) = &args.model {
            plan.put_first(file, model)?;
        }
        Ok(plan)
    }

    /// The endpoint, as the file will mean it.
    ///
    /// # Errors
    /// It is gone.
    pub(super) fn endpoint<'c>(&self, config: &'c Config) -> anyhow::Result<&'c Endpoint> {
        let found = config.endpoints.iter().find(|endpoint| endpoint.name.as_str() == self.name);
        found.with_context(|| {
            format!("the endpoint `{}` is disabled; `latimer endpoints enable {}`", self.name, self.name)
        })
    }

    /// Settles the model by what the provider lists: the one that was named, else the first of the preset's that it has, else its first.
    ///
    /// # Errors
    /// The document holds something else in the place of the endpoint.
    pub(super) fn settle(
        &mut self,
        file: &mut ConfigFile,
        listed: &[ProviderModel],
        named: Option<&str>,
    ) -> anyhow::Result<()> {
        if named.is_some() || listed.is_empty() {
            return Ok(());
        }
        let usual = self.preset.and_then(presets::find).map_or(&[][..], |preset| preset.models);
        let is_listed = |id: &&&str| listed.iter().any(|model| model.id == **id);
        let known = usual.iter().find(is_listed).copied();
        match known.or_else(|| listed.first().map(|model| model.id.as_str())) {
            Some(id) if usual.first() == Some(&id) => self.model = Some(id.to_owned()),
            Some(id) if usual.is_empty() => {
                self.model = Some(id.to_owned());
                let all = listed.iter().take(MAX_MODELS).map(|model| model.id.as_str());
                file.endpoint(&self.name)?.insert("models", value(all.collect::<Array>()));
            }
            Some(id) => {
                self.model = Some(id.to_owned());
                self.put_first(file, id)?;
            }
            None => {}
        }
        Ok(())
    }

    /// Lists this model first, and behind it what the preset lists.
    fn put_first(&self, file: &mut ConfigFile, model: &str) -> anyhow::Result<()> {
        let usual = self.preset.and_then(presets::find).map_or(&[][..], |preset| preset.models);
        let others = usual.iter().copied().filter(|other| *other != model);
        let models: Array = std::iter::once(model).chain(others).collect();
        file.endpoint(&self.name)?.insert("models", value(models));
        Ok(())
    }

    /// Removes the key that was given for an endpoint that is not written.
    pub(super) fn take_back_key(self) {
        if let Some(key_file) = self.key_file {
            key_file.settle(false);
        }
    }
}
