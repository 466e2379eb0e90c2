//! The numbers of tokens a refusal speaks of: the window, the prompt, what was asked for, and what may be. Pure.
//!
//! The words around a number say what it counts. Read are both languages that providers write their refusals in, English and
//! Chinese; equations (`190000 + 32000 > 200000`) and ranges (`[1, 8192]`) say it without words.

/// A number in a text that stands for itself: no part of a name such as `gpt-4` or `20241022`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Number {
    pub(crate) value: f64,
    /// Where it stands, in bytes.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Number {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked, and a count")]
    fn count(self) -> Option<u64> {
        (self.value >= 0.0 && self.value < 1e15 && self.value.fract() == 0.0).then_some(self.value as u64)
    }
}

/// The numbers of a text.
pub(crate) fn numbers(text: &str) -> Vec<Number> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = bytes.iter().skip(at).position(u8::is_ascii_digit).map(|skipped| at + skipped) {
        let mut end = digits_end(bytes, start);
        // `32,768`, but not the two numbers of `[1,819]`.
        let in_list = start > 0 && matches!(bytes.get(start - 1), Some(b'[' | b'('));
        while !in_list && matches!(bytes.get(end), Some(b',' | b'_')) && digits_end(bytes, end + 1) == end + 4
        {
            end += 4;
        }
        if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
            end = digits_end(bytes, end + 1);
        }
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let before = start.checked_sub(1).and_then(|place| bytes.get(place));
        let joined = |byte: Option<&u8>, beyond: Option<&u8>| {
            byte.is_some_and(|byte| matches!(byte, b'-' | b'.' | b'/' | b':' | b'@'))
                && beyond.is_some_and(is_name)
        };
        let thousands = bytes.get(end).is_some_and(|byte| byte.eq_ignore_ascii_case(&b'k'))
            && !bytes.get(end + 1).is_some_and(is_name);
        let is_alone = !before.is_some_and(is_name)
            && !joined(before, start.checked_sub(2).and_then(|place| bytes.get(place)))
            && (thousands || !bytes.get(end).is_some_and(is_name))
            && !joined(bytes.get(end), bytes.get(end + 1));
        let digits: String =
            text.get(start..end).unwrap_or_default().chars().filter(|c| !matches!(c, ',' | '_')).collect();
        if let (true, Ok(value)) = (is_alone, digits.parse::<f64>()) {
            let value = if thousands { value * 1000.0 } else { value };
            found.push(Number { value, start, end: end + usize::from(thousands) });
        }
        at = end;
    }
    found
}

fn digits_end(bytes: &[u8], start: usize) -> usize {
    start + bytes.iter().skip(start).take_while(|byte| byte.is_ascii_digit()).count()
}

/// Names of the limit on an answer, in every protocol, and words for it.
const OUTPUT_NAMES: [&str; 24] = [
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "maxoutputtokens",
    "max_new_tokens",
    "max_gen_len",
    "max_tokens_to_sample",
    "num_predict",
    "maxtokens",
    "max tokens",
    "max output",
    "maximum output",
    "maximum tokens you requested",
    "maximum tokens value",
    "output token",
    "output_token",
    "completion token",
    "tokens to generate",
    "generated tokens",
    "in the completion",
    "for the completion",
    "in the output",
    "输出",
    "生成",
];
const OUTPUT: [&str; 5] = ["output", "completion", "generate", "generated", "generation"];
const PROMPT: [&str; 14] = [
    "input",
    "inputs",
    "prompt",
    "messages",
    "message",
    "text",
    "history",
    "conversation",
    "request",
    "current length",
    "输入",
    "提示",
    "请求",
    "消息",
];
const WINDOW: [&str; 7] =
    ["context", "window", "n_ctx", "context_length", "context_window", "上下文", "窗口"];
const LIMIT: [&str; 40] = [
    "maximum",
    "max",
    "limit",
    "limited",
    "at most",
    "must be",
    "should be",
    "must have",
    "no more than",
    "less than",
    "lower than",
    "fewer than",
    "smaller than",
    "up to",
    "<=",
    "≤",
    "<",
    "exceed",
    "exceeds",
    "exceeded",
    "exceeding",
    "only",
    "allowed",
    "longer than",
    "larger than",
    "greater than",
    "more than",
    "over",
    "above",
    "range",
    "超过",
    "超出",
    "最大",
    "最多",
    "小于",
    "不大于",
    "上限",
    "限制",
    "范围",
    "大于",
];
const LEAST: [&str; 9] =
    [">=", "≥", "at least", "minimum", "greater than or equal", "大于等于", "不小于", "至少", "最小"];
const TOTAL: [&str; 4] = ["requested", "total", "总", "共"];
/// What stands before a bound that is not itself allowed.
const EXCLUSIVE: [&str; 6] = ["less than", "lower than", "fewer than", "smaller than", "小于", "<"];

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Window,
    Prompt,
    /// What was asked for.
    Output,
    MaxOutput,
    MinOutput,
    /// Some limit, whose subject stands elsewhere.
    Limit,
    Least,
    Total,
    None,
}

/// What a refusal says about tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenReading {
    /// The prompt alone does not fit.
    Overflow,
    /// The answer that was asked for is too long or too short; the prompt fits.
    Output(OutputBounds),
}

/// What an answer may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutputBounds {
    /// The most tokens of any answer.
    pub max: Option<u64>,
    /// The fewest that may be asked for.
    pub min: Option<u64>,
    /// Prompt and answer together.
    pub window: Option<u64>,
    /// What the prompt of this turn has.
    pub prompt: Option<u64>,
}

/// Reads a refusal in lower case. `wanted` is the number that the request asked for, where it is known. `None` where it is about
/// something else, or does not say enough.
pub fn read(lower: &str, wanted: Option<u64>) -> Option<TokenReading> {
    let speaks_of_output = OUTPUT_NAMES.iter().any(|name| lower.contains(name));
    let counts = Counts::of(lower, wanted);
    let output = wanted.or(counts.output);
    let prompt = counts.prompt.or_else(|| counts.total?.checked_sub(output?)).filter(|prompt| *prompt > 0);
    let window =
        counts.window.or_else(|| counts.limit.filter(|_| counts.prompt.is_some() && !speaks_of_output));
    if let (Some(window), Some(prompt)) = (window, prompt) {
        if prompt >= window {
            return Some(TokenReading::Overflow);
        }
        let is_too_much = speaks_of_output || counts.total.is_some();
        let bounds = OutputBounds { window: Some(window), prompt: Some(prompt), ..OutputBounds::default() };
        return is_too_much.then_some(TokenReading::Output(bounds));
    }
    if !speaks_of_output {
        return None;
    }
    let below = |bound: &u64| wanted.is_none_or(|wanted| *bound < wanted) && *bound > 0;
    let above = |bound: &u64| wanted.is_none_or(|wanted| *bound > wanted);
    let bounds = OutputBounds {
        max: counts.max_output.or(counts.limit.filter(|_| window.is_none())).filter(below),
        min: counts.min_output.filter(above),
        // The window alone is a bound for the answer as well.
        window: window.filter(|window| wanted.is_some_and(|wanted| wanted >= *window)),
        prompt: None,
    };
    (bounds != OutputBounds::default()).then_some(TokenReading::Output(bounds))
}

/// Whether a refusal in lower case says that too long an answer was asked for, also without a number.
pub fn says_too_much(lower: &str) -> bool {
    let too_much = [
        "too large",
        "too big",
        "too high",
        "too many",
        "too long",
        "exceed",
        "greater than",
        "larger than",
        "above",
        "out of range",
        "过大",
        "过长",
        "超过",
        "超出",
        "太大",
    ];
    OUTPUT_NAMES.iter().any(|name| lower.contains(name)) && too_much.iter().any(|words| lower.contains(words))
}

/// The numbers by what they count.
#[derive(Debug, Default)]
struct Counts {
    window: Option<u64>,
    prompt: Option<u64>,
    output: Option<u64>,
    max_output: Option<u64>,
    min_output: Option<u64>,
    limit: Option<u64>,
    total: Option<u64>,
}

impl Counts {
    fn of(lower: &str, wanted: Option<u64>) -> Self {
        let numbers = numbers(lower);
        let mut counts = Self::default();
        let mut at = 0;
        while at < numbers.len() {
            at +=
                match counts.equation(lower, &numbers[at..], at.checked_sub(1).map(|last| numbers[last].end))
                {
                    0 => {
                        let before = at.checked_sub(1).map_or(0, |last| numbers[last].end);
                        let after = numbers.get(at + 1).map_or(lower.len(), |next| next.start);
                        counts.add(role(lower, numbers[at], before, after), numbers[at], lower, wanted);
                        1
                    }
                    taken => taken,
                };
        }
        counts
    }

    fn add(&mut self, role: Role, number: Number, lower: &str, wanted: Option<u64>) {
        let Some(value) = number.count() else { return };
        // What was asked for is known, and is no limit.
        let is_wanted = wanted == Some(value);
        let least = |old: Option<u64>, value: u64| Some(old.map_or(value, |old| old.min(value)));
        match role {
            Role::Window if !is_wanted => self.window = self.window.or(Some(value)),
            Role::Prompt if is_wanted && self.output.is_none() && self.prompt.is_some() => {}
            Role::Prompt => self.prompt = Some(self.prompt.map_or(value, |old| old.saturating_add(value))),
            Role::Output => self.output = self.output.or(Some(value)),
            Role::MaxOutput if !is_wanted => {
                self.max_output = least(self.max_output, inclusive(lower, number, value));
            }
            Role::MinOutput | Role::Least => self.min_output = self.min_output.or(Some(value)),
            Role::Limit if !is_wanted => self.limit = least(self.limit, inclusive(lower, number, value)),
            Role::Total => self.total = self.total.or(Some(value)),
            Role::Window | Role::MaxOutput | Role::Limit | Role::None => {}
        }
    }

    /// `a + b > c`, `a > b - c`, `a > b`, and a range; how many numbers it took.
    fn equation(&mut self, lower: &str, rest: &[Number], before: Option<usize>) -> usize {
        let sign = |place: usize| {
            let (left, right) = (rest.get(place)?, rest.get(place + 1)?);
            let between = lower.get(left.end..right.start)?.trim();
            let between = between.strip_prefix("tokens").unwrap_or(between).trim();
            Some(between.trim_matches(|c| c == '(' || c == ')').trim())
        };
        let value = |place: usize| rest.get(place).and_then(|number| number.count());
        let head = || {
            lower.get(before.unwrap_or(0)..rest.first().map_or(0, |number| number.start)).unwrap_or_default()
        };
        match (sign(0), sign(1)) {
            (Some("+"), Some(">" | "=")) => {
                self.prompt = value(0);
                self.output = self.output.or(value(1));
                if sign(1) == Some(">") {
                    self.window = value(2);
                    return 3;
                }
                self.total = value(2);
                self.window = if sign(2) == Some(">") { value(3) } else { self.window };
                if sign(2) == Some(">") { 4 } else { 3 }
            }
            (Some(">"), Some("-")) => {
                self.output = self.output.or(value(0));
                (self.window, self.prompt) = (value(1), value(2));
                3
            }
            (Some(">"), _) if has(head(), &PROMPT) && !has_part(head(), &OUTPUT_NAMES) => {
                (self.prompt, self.window) = (value(0), value(1));
                2
            }
            (Some(">"), _) if has_part(lower, &OUTPUT_NAMES) => {
                self.output = self.output.or(value(0));
                self.max_output = value(1);
                2
            }
            _ => self.range(lower, rest, head()),
        }
    }

    fn range(&mut self, lower: &str, rest: &[Number], head: &str) -> usize {
        let [low, high, ..] = rest else { return 0 };
        let between = lower.get(low.end..high.start).unwrap_or_default();
        let between = between.replace("(inclusive)", "").replace("(exclusive)", "");
        let opens = lower.get(..low.start).unwrap_or_default().trim_end().ends_with(['[', '(']);
        let is_range = match between.trim() {
            "," | ";" => opens,
            "and" => head.contains("between"),
            "to" | "-" | "~" | ".." | "..." | "–" | "到" | "至" | "～" => true,
            _ => false,
        };
        let (Some(min), Some(max), true) = (low.count(), high.count(), is_range && low.value < high.value)
        else {
            return 0;
        };
        let behind = lower.get(high.end..).unwrap_or_default().trim_start();
        let max = if behind.starts_with("(exclusive)") { max.saturating_sub(1) } else { max };
        if has_part(head, &OUTPUT_NAMES) || (!has(head, &PROMPT) && has_part(lower, &OUTPUT_NAMES)) {
            (self.min_output, self.max_output) = (Some(min), Some(max));
        } else if has(head, &PROMPT) || has(head, &WINDOW) {
            self.window = Some(max);
        } else {
            return 0;
        }
        2
    }
}

/// A bound that must not be reached is one less.
fn inclusive(lower: &str, number: Number, value: u64) -> u64 {
    let before = lower.get(..number.start).unwrap_or_default().trim_end_matches([' ', '`', '\'', '"']);
    if EXCLUSIVE.iter().any(|words| before.ends_with(words)) { value.saturating_sub(1) } else { value }
}

/// What a number counts: the words behind it up to the next mark, then those before it.
fn role(lower: &str, number: Number, last_end: usize, next_start: usize) -> Role {
    const ENDS: [char; 14] = ['.', ';', ',', '(', ')', '\n', '，', '。', '；', '（', '）', '"', '[', ']'];
    let behind = lower.get(number.end..next_start).unwrap_or_default();
    let behind = behind.split(ENDS).next().unwrap_or_default();
    let ends = [" and ", " is ", " are ", " exceed", " but ", " while ", " which "];
    let behind = ends.iter().fold(behind, |behind, end| behind.split(end).next().unwrap_or_default());
    let behind: String = behind.chars().take(40).collect();
    let before = lower.get(last_end..number.start).unwrap_or_default();
    // A number in brackets belongs to the words before them.
    let before = before.trim_end_matches([' ', '(', '（', '[', '`', '\'', '"']);
    let before = before.rsplit([';', ')', ',', '，', '。', '；', '）']).next().unwrap_or_default();
    let before = before.rsplit(". ").next().unwrap_or_default();
    if before.ends_with(" by") {
        return Role::None;
    }
    let (is_limit, is_least) = (has(before, &LIMIT), has(before, &LEAST));
    let is_output = |text: &str| has_part(text, &OUTPUT_NAMES) || has(text, &OUTPUT);
    let is_output_behind = is_output(&behind);
    if has(&behind, &WINDOW) {
        return Role::Window;
    }
    if is_output_behind && !has(&behind, &PROMPT) {
        return if is_limit { Role::MaxOutput } else { Role::Output };
    }
    if has(&behind, &PROMPT) {
        return if is_limit && !is_least { Role::Window } else { Role::Prompt };
    }
    let (output_before, prompt_before) = (is_output(before), has(before, &PROMPT));
    if has(before, &WINDOW) || (output_before && prompt_before && (is_limit || before.contains('+'))) {
        return Role::Window;
    }
    match (output_before, prompt_before) {
        (true, _) if is_least => Role::MinOutput,
        (true, _) if is_limit => Role::MaxOutput,
        (true, _) => Role::Output,
        (_, true) if is_limit => Role::Window,
        (_, true) => Role::Prompt,
        _ if has(before, &TOTAL) => Role::Total,
        _ if is_least => Role::Least,
        _ if is_limit => Role::Limit,
        _ => Role::None,
    }
}

fn has_part(text: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| text.contains(part))
}

/// Whether one of these words stands in a text, as a whole word; an underscore ends one.
pub(crate) fn has(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| {
        text.match_indices(word).any(|(at, _)| {
            let is_letter = |c: char| c.is_ascii_alphanumeric();
            let is_ascii = word.starts_with(is_letter) || word.ends_with(is_letter);
            let before = text.get(..at).and_then(|text| text.chars().next_back());
            let after = text.get(at + word.len()..).and_then(|text| text.chars().next());
            !is_ascii || (!before.is_some_and(is_letter) && !after.is_some_and(is_letter))
        })
    })
}

#[cfg(test)]
mod tests;
