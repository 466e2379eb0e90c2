//! Names of dialects: ours, those of the engines, and those of models.

use std::fmt;

macro_rules! dialects {
    ($($(#[$doc:meta])* $variant:ident $name:literal [$($other:literal),*],)*) => {
        /// A way of writing tool calls as text.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Dialect { $($(#[$doc])* $variant,)* }

        impl Dialect {
            /// Every dialect.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name, as in the README's table.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// By its name, or by the name an engine's own parser for it has.
            pub fn from_name(name: &str) -> Option<Self> {
                let name = name.to_ascii_lowercase().replace([' ', '.', '-'], "_");
                let name = name.strip_suffix("_tool_parser").or_else(|| name.strip_suffix("_tool_calls")).unwrap_or(&name);
                match name { $($name $(| $other)* => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

dialects! {
    /// `<｜DSML｜tool_calls>`: DeepSeek V3.2 and V4, in every spelling.
    Dsml "dsml" ["deepseek_v32", "deepseekv32", "deepseek_v3_2", "deepseek_v4", "deepseekv4", "deepseek_v4_1", "deepseek_v41", "gcml", "gigachat3_5"],
    /// `<｜tool▁calls▁begin｜>` with a fence: DeepSeek V3 and R1.
    DeepseekV3 "deepseek_v3" ["deepseekv3", "deepseek_r1", "deepseek", "deepseek_v3_0"],
    /// `<｜tool▁calls▁begin｜>` without: DeepSeek V3.1.
    DeepseekV31 "deepseek_v31" ["deepseekv31", "deepseek_v3_1"],
    /// `<｜tool_calls_begin｜>`: Step-3.
    Step3 "step3" ["step_3"],
    /// `<|tool_calls_section_begin|>`: Kimi K2.
    KimiK2 "kimi_k2" ["kimi", "kimi_k2_thinking", "moonshot"],
    /// `<|open|>tools<|sep|>`: Kimi K3.
    KimiK3 "kimi_k3" [],
    /// `]<]minimax[>[` before every tag: MiniMax M3.
    MinimaxM3 "minimax_m3" [],
    /// `<minimax:tool_call>`: MiniMax M2.
    MinimaxM2 "minimax_m2" ["minimax"],
    /// `<longcat_tool_call>`: LongCat.
    LongCat "longcat" [],
    /// `<|action_start|><|plugin|>`: InternLM.
    InternLm "internlm" ["internlm2", "intern_s1"],
    /// `<|tools_prefix|>`: Apertus.
    Apertus "apertus" [],
    /// `functools[…]`: Phi-4 mini, FireFunction.
    Phi "phi4_mini_json" ["phi", "phi4", "functools", "firefunction", "firefunction_v2", "phi4_mini"],
    /// `<|function_call|>`: GigaChat 3.
    GigaChat "gigachat3" ["gigachat"],
    /// `<|tool_calls|>` with a Python list: Sarashina.
    Sarashina "sarashina" ["sarashina2"],
    /// `<|content_invoke_tool_json|>`: Inkling.
    Inkling "inkling" [],
    /// `<TOOLCALL>`: Nemotron.
    Nemotron "nemotron" ["nemotron_nano_v2", "nemotron_deci", "nemotron_json"],
    /// `<|tool_call|>`: Granite 3, and `<function_call>` of Granite 20B.
    Granite "granite" ["granite3", "granite_20b_fc", "granite_3_3"],
    /// `<tool_calls>[…]`: Jamba, Hunyuan A13B, Apriel.
    Jamba "jamba" ["hunyuan_a13b", "apriel"],
    /// `<ifm|tool_calls>`: K2 Horizon.
    K2Horizon "k2_horizon" ["horizon", "ifm"],
    /// `<dots_function_call>`: Dots.
    Dots "dots" [],
    /// `<|plamo:begin_tool_requests:plamo|>`: PLaMo 3.
    Plamo "plamo" ["plamo3"],
    /// `<|tool_call>call:name{…}`: Gemma 4 and FunctionGemma.
    Gemma "gemma" ["gemma4", "functiongemma", "function_gemma"],
    /// `<|START_ACTION|>`: Cohere Command.
    Cohere "cohere" ["command_r", "command", "cohere_command3", "command_r7b", "cohere2", "command_a"],
    /// `<|channel|>commentary to=functions.name`: gpt-oss.
    Harmony "harmony" ["openai", "gpt_oss"],
    /// `[TOOL_CALLS]`: Mistral.
    Mistral "mistral" ["devstral", "magistral", "mistral_nemo"],
    /// `<|python_tag|>` or bare objects with `parameters`: Llama 3.
    Llama "llama3_json" ["llama", "llama3", "llama_3", "llama4_json", "llama_json"],
    /// `[name(key=value)]`: Llama 4, ToolACE.
    Pythonic "pythonic" ["llama4_pythonic", "llama4", "toolace", "llama_3_2_pythonic", "llama_4"],
    /// `<|tool_call_start|>`: LFM2.
    Lfm2 "lfm2" ["lfm"],
    /// `<function_calls>` with Python calls: OLMo 3.
    Olmo "olmo3" ["olmo"],
    /// `<tool_call>` with JSON: Hermes, Qwen, many more.
    Hermes "hermes" ["qwen", "qwen25", "qwen2_5", "qwen3", "qwq", "ernie45", "ernie", "granite4", "reka", "mimo", "hermes_2_pro"],
    /// `<function=name>` with `<parameter=key>`: Qwen3-Coder.
    QwenCoder "qwen3_coder" ["qwen_coder", "qwen3_xml", "qwen3coder", "nemotron_nano_3", "step3p5", "step_3_5", "qwen35_coder", "mimo_v2", "qwen3_5"],
    /// `<seed:tool_call>`: Seed-OSS.
    SeedOss "seed_oss" ["seed"],
    /// `<tool_call>name<arg_key>`: GLM.
    Glm "glm" ["glm45", "glm4_moe", "glm47", "glm4", "glm_4_5", "glm_4_6", "glm_4_7", "glm5", "glm_5", "glm4_5", "ling3", "poolside", "iquest", "spark"],
    /// `<tool_calls><tool_call>name`: Hunyuan 3 and 4.
    Hunyuan "hunyuan" ["hunyuan3", "hunyuan_v3", "hunyuan4", "hy_v3"],
    /// `<tool_call type="name">` and `<tool_call name="name">`.
    ToolCallAttr "tool_call_attr" ["command_code"],
    /// `<invoke name="name">`: Claude style.
    Claude "claude" ["anthropic", "claude_xml", "invoke", "muse"],
    /// `<function=name>` and `<function name="name">` alone.
    FunctionTag "function_tag" ["functionary", "functionary_v3_1_llama_3_1", "functionary_v3_1", "minicpm", "minicpm5", "llama3_function_tag"],
    /// `<bash>` and `<todo_write>` blocks.
    Bash "bash_block" ["bash"],
    /// `<explore_agent>`, `<require_escalation>` and their kin.
    RequestTag "request_tag" ["wish"],
    /// A tag that is a declared tool's name: Cline, Roo, Kilo.
    ToolTag "tool_tag" ["cline", "roo", "kilo"],
    /// A JSON object that spells out a call, without any marker.
    RawJson "raw_json" ["json", "xlam", "bare_json"],
    /// No text at all: a call that the provider itself reported, given to [`sanitize`](crate::sanitize).
    Native "native" [],
    /// `>>>name`: Functionary 3.2. Only by hint.
    FunctionaryV3 "functionary_v3_2" ["functionary_v3", "functionary_3_2"],
    /// `Action:` and `Action Input:`. Only by hint.
    React "react" [],
}

impl Dialect {
    /// The dialect that a model of this name writes, where the name tells.
    pub fn for_model(model: &str) -> Option<Self> {
        let model = model.to_ascii_lowercase();
        let has = |word: &str| model.contains(word);
        Some(match () {
            () if has("deepseek") && (has("v3.2-exp") || has("v3.1")) => Self::DeepseekV31,
            () if has("deepseek") && (has("v3.2") || has("v4")) => Self::Dsml,
            () if has("deepseek") && (has("v3") || has("r1")) => Self::DeepseekV3,
            () if has("nemotron") && (has("nano-3") || has("3-nano")) => Self::QwenCoder,
            () if has("nemotron") => Self::Nemotron,
            () if has("qwen") && (has("coder") || has("3.5") || has("3.6")) => Self::QwenCoder,
            () if has("qwen") || has("qwq") || has("hermes") => Self::Hermes,
            () if has("kimi-k3") || has("kimi_k3") => Self::KimiK3,
            () if has("kimi") => Self::KimiK2,
            () if has("glm") => Self::Glm,
            () if has("minimax") && has("m3") => Self::MinimaxM3,
            () if has("minimax") => Self::MinimaxM2,
            () if ["mistral", "mixtral", "devstral", "magistral", "ministral"].into_iter().any(has) => {
                Self::Mistral
            }
            () if has("llama-4") || has("llama4") => Self::Pythonic,
            () if has("llama") => Self::Llama,
            () if has("gpt-oss") => Self::Harmony,
            () if has("command") || has("c4ai") => Self::Cohere,
            () if has("granite") => Self::Granite,
            () if has("gemma") => Self::Gemma,
            () => return None,
        })
    }

    fn bit(self) -> u64 {
        1 << (self as u64)
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of dialects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialects(u64);

impl Dialects {
    /// Every dialect.
    pub fn all() -> Self {
        Dialect::ALL.iter().copied().collect()
    }

    /// True when the dialect is in the set.
    pub fn contains(self, dialect: Dialect) -> bool {
        self.0 & dialect.bit() != 0
    }

    /// Takes a dialect out.
    pub fn remove(&mut self, dialect: Dialect) {
        self.0 &= !dialect.bit();
    }

    pub(crate) fn none() -> Self {
        Self(0)
    }

    pub(crate) fn insert(&mut self, dialect: Dialect) {
        self.0 |= dialect.bit();
    }
}

impl FromIterator<Dialect> for Dialects {
    fn from_iter<I: IntoIterator<Item = Dialect>>(dialects: I) -> Self {
        Self(dialects.into_iter().fold(0, |set, dialect| set | dialect.bit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back() {
        for dialect in Dialect::ALL {
            assert_eq!(Dialect::from_name(dialect.name()), Some(*dialect));
            assert!(Dialects::all().contains(*dialect));
        }
        assert_eq!(Dialect::from_name("Kimi-K2"), Some(Dialect::KimiK2));
        assert_eq!(Dialect::from_name("nobody"), None);
    }

    #[test]
    fn models_have_dialects() {
        for (model, dialect) in [
            ("deepseek-ai/DeepSeek-V3.2", Some(Dialect::Dsml)),
            ("deepseek-r1", Some(Dialect::DeepseekV3)),
            ("Qwen/Qwen3-Coder-480B", Some(Dialect::QwenCoder)),
            ("qwen2.5:7b", Some(Dialect::Hermes)),
            ("openai/gpt-oss-120b", Some(Dialect::Harmony)),
            ("some-model", None),
        ] {
            assert_eq!(Dialect::for_model(model), dialect, "{model}");
        }
    }
}
