//! Which agent runs which free model, as data.

/// Model and agent.
pub const MODELS: [(&str, &str); 4] = [
    ("deepseek/deepseek-v4-pro", "base2-free-deepseek"),
    ("deepseek/deepseek-v4-flash", "base2-free-deepseek-flash"),
    ("moonshotai/kimi-k2.6", "base2-free-kimi"),
    ("minimax/minimax-m2.7", "base2-free"),
];

/// The agent of a model: by its exact name, else by its name without `/` and `-`.
pub fn agent(model: &str) -> Option<(&'static str, &'static str)> {
    let plain = |name: &str| name.to_ascii_lowercase().replace(['/', '-'], "");
    let exact = MODELS.iter().find(|(name, _)| *name == model);
    let wanted = plain(model);
    exact.or_else(|| MODELS.iter().find(|(name, _)| plain(name) == wanted)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_never_replaced() {
        assert_eq!(agent("deepseek/deepseek-v4-flash"), Some(MODELS[1]));
        assert_eq!(agent("DeepSeek-deepseek-v4-pro"), Some(MODELS[0]));
        assert_eq!(agent("deepseek/deepseek-v5"), None);
    }
}
