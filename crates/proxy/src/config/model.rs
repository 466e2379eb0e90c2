//! What is known of a model: from the configuration, else from the table of the presets.

/// The price of a model, in millionths of a US dollar for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Price {
    /// Input that was not cached.
    pub input: Option<u64>,
    /// Input read from a cache; as other input without it.
    pub cached: Option<u64>,
    /// All output, thoughts included.
    pub output: Option<u64>,
}

impl Price {
    /// Whether it is known that nothing is to be paid, which is not the same as a price that nobody knows.
    pub fn is_free(self) -> bool {
        self.input == Some(0) && self.output == Some(0)
    }

    /// Whether a turn can be priced by it.
    pub fn is_known(self) -> bool {
        self.input.is_some() && self.output.is_some()
    }
}

/// How much a model is asked to think, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// Not at all.
    None,
    /// Hardly.
    Minimal,
    /// Little.
    Low,
    /// The usual.
    Medium,
    /// Much.
    High,
    /// More than high.
    XHigh,
    /// As much as the model can.
    Max,
}

impl Effort {
    /// How each is called in the file, in the table and by clients.
    pub const NAMES: [(&str, Self); 7] = [
        ("none", Self::None),
        ("minimal", Self::Minimal),
        ("low", Self::Low),
        ("medium", Self::Medium),
        ("high", Self::High),
        ("xhigh", Self::XHigh),
        ("max", Self::Max),
    ];

    /// As written in the file.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, effort)| *effort == self).map_or("", |(name, _)| name)
    }

    /// The effort of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, effort)| *effort)
    }
}

/// Who says something of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origin {
    /// The table of the presets, or nobody.
    #[default]
    Table,
    /// The configuration.
    File,
}

/// One model of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Model {
    /// As the provider spells it; case matters.
    pub id: String,
    /// In tokens.
    pub context_window: Option<u64>,
    /// The most tokens of an answer: no request asks for more.
    pub max_output: Option<u64>,
    /// Who says so.
    pub max_output_origin: Origin,
    /// Whether it thinks.
    pub reasoning: Option<bool>,
    /// How much it can be asked to think, the least first; empty where nobody says.
    pub efforts: Vec<Effort>,
    /// Whether it sees images.
    pub images: Option<bool>,
    /// Whether it calls tools.
    pub tools: Option<bool>,
    /// What its tokens cost.
    pub price: Price,
    /// Who says so.
    pub price_origin: Origin,
}

impl Model {
    /// A model of which nothing is known but its name.
    pub fn named(id: impl Into<String>) -> Self {
        Self { id: id.into(), ..Self::default() }
    }
}
