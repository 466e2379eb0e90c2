//! Pictures and files inside a request. Pure.

/// A data URL of base64 text, as the hub keeps pictures and files.
pub(in crate::inbound) fn data_url(media_type: &str, base64: &str) -> String {
    let mut url = String::with_capacity(media_type.len() + base64.len() + 13);
    url.push_str("data:");
    url.push_str(media_type);
    url.push_str(";base64,");
    // Google's clients may write the alphabet for URLs, which few others take.
    if base64.contains(['-', '_']) {
        url.extend(base64.chars().map(|c| match c {
            '-' => '+',
            '_' => '/',
            c => c,
        }));
    } else {
        url.push_str(base64);
    }
    url
}

/// Whether a provider can get at a picture: its data is here, or its address is on the web.
pub(in crate::inbound) fn is_reachable(url: &str) -> bool {
    ["data:", "https:", "http:"].iter().any(|scheme| url.starts_with(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_goes_into_a_url_in_the_usual_alphabet() {
        assert_eq!(data_url("image/png", "iVBO+/=="), "data:image/png;base64,iVBO+/==");
        assert_eq!(data_url("image/png", "iVBO-_=="), "data:image/png;base64,iVBO+/==");
    }

    #[test]
    fn files_of_the_machine_are_out_of_reach() {
        assert!(is_reachable("data:image/png;base64,") && is_reachable("https://example.org/a.png"));
        assert!(!is_reachable("file:///etc/passwd") && !is_reachable("file-abc") && !is_reachable(""));
    }
}
