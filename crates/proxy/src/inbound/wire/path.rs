//! Where a value stands in the body of a request. Pure.

use std::fmt;

/// Where a value stands in the body of a request. Lives on the stack, and is written out only for an error.
#[derive(Debug, Clone, Copy)]
pub(in crate::inbound) struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Step<'p>,
    style: PathStyle,
}

#[derive(Debug, Clone, Copy)]
enum Step<'p> {
    Field(&'p str),
    Index(usize),
}

/// How a protocol writes paths, and sentences about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PathStyle {
    /// `messages.0.content.1.text`, as Anthropic's API does.
    Dotted,
    /// `input[0].content[1].text`, as OpenAI's and Google's APIs do.
    Bracketed,
}

impl<'p> Path<'p> {
    /// A field of the body, in Anthropic's way of writing.
    pub(in crate::inbound) const fn dotted(field: &'p str) -> Self {
        Self { parent: None, step: Step::Field(field), style: PathStyle::Dotted }
    }

    /// A field of the body, in OpenAI's and Google's way of writing.
    pub(in crate::inbound) const fn bracketed(field: &'p str) -> Self {
        Self { parent: None, step: Step::Field(field), style: PathStyle::Bracketed }
    }

    /// A field of the object that stands here.
    pub(in crate::inbound) const fn field(&'p self, name: &'p str) -> Self {
        Self { parent: Some(self), step: Step::Field(name), style: self.style }
    }

    /// An element of the list that stands here, counted from 0.
    pub(in crate::inbound) const fn index(&'p self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Index(index), style: self.style }
    }

    /// A sentence that begins with the path.
    pub(in crate::inbound) fn sentence(&self, rest: &dyn fmt::Display) -> String {
        match self.style {
            PathStyle::Dotted => format!("{self}: {rest}"),
            PathStyle::Bracketed => format!("`{self}` {rest}"),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match (self.step, self.style) {
            (Step::Field(name), _) if self.parent.is_none() => f.write_str(name),
            (Step::Field(name), _) => write!(f, ".{name}"),
            (Step::Index(index), PathStyle::Dotted) => write!(f, ".{index}"),
            (Step::Index(index), PathStyle::Bracketed) => write!(f, "[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_writes_paths_in_its_own_way() {
        let [dotted, bracketed] = [Path::dotted("messages"), Path::bracketed("messages")].map(|root| {
            let at = root.index(3);
            let at = at.field("content");
            let at = at.index(0);
            let at = at.field("text");
            (at.to_string(), at.sentence(&"is missing"))
        });
        assert_eq!(dotted.0, "messages.3.content.0.text");
        assert_eq!(dotted.1, "messages.3.content.0.text: is missing");
        assert_eq!(bracketed.0, "messages[3].content[0].text");
        assert_eq!(bracketed.1, "`messages[3].content[0].text` is missing");
    }
}
