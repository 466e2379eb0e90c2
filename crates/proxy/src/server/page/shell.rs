//! The shell of the page: the way to each screen, and an empty place for each. Nothing in it was ever outside of this file.

use maud::{DOCTYPE, Markup, html};

/// A part of the page with an address of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Screen {
    /// Behind `/ui/`.
    pub(super) path: &'static str,
    /// Its name and heading.
    pub(super) name: &'static str,
}

/// Every screen, in the order of the menu.
pub(super) const SCREENS: [Screen; 11] = [
    Screen { path: "", name: "Overview" },
    Screen { path: "requests", name: "Requests" },
    Screen { path: "providers", name: "Providers" },
    Screen { path: "models", name: "Models" },
    Screen { path: "accounts", name: "Accounts" },
    Screen { path: "usage", name: "Usage" },
    Screen { path: "incidents", name: "Incidents" },
    Screen { path: "parser", name: "Parser lab" },
    Screen { path: "clients", name: "Clients" },
    Screen { path: "settings", name: "Settings" },
    Screen { path: "logs", name: "Logs" },
];

/// The page, with one of its screens open.
pub(super) fn page(open: &Screen) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (open.name) " · latimer" }
                link rel="icon" href="data:,";
                link rel="stylesheet" href="/ui/style.css";
                script src="/ui/app.js" defer {}
            }
            body {
                a .skip href="#main" { "Skip to the content" }
                header {
                    span .brand { "latimer" }
                    span #connection role="status" { "connecting" }
                    button #menu type="button" aria-expanded="false" aria-controls="screens" { "Menu" }
                    nav #screens aria-label="Screens" {
                        ul {
                            @for screen in &SCREENS {
                                li {
                                    a href={ "/ui/" (screen.path) } data-screen=(screen.path)
                                        aria-current=[(screen == open).then_some("page")] { (screen.name) }
                                }
                            }
                        }
                    }
                }
                main #main tabindex="-1" {
                    p #notice role="alert" hidden {}
                    section #gate hidden {
                        h1 { "Open the page" }
                        p { "This page opens with a one-time code. Run this in a terminal:" }
                        p { code { "latimer dashboard" } }
                        p #gate-why {}
                    }
                    section #screen data-open=(open.path) {
                        h1 #heading { (open.name) }
                        div #content { p { "Loading …" } }
                    }
                    noscript { p { "This page needs its script. The same is in the terminal: " code { "latimer status" } ", " code { "latimer logs" } ", " code { "latimer usage" } "." } }
                }
                dialog #drawer aria-labelledby="drawer-heading" {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_open_screen_is_the_current_one_and_nothing_is_inline() {
        let text = page(&SCREENS[1]).into_string();
        assert!(text.contains("<h1 id=\"heading\">Requests</h1>"), "{text}");
        assert_eq!(text.matches("aria-current=\"page\"").count(), 1);
        for banned in ["style=", "onclick", "<style", "<script>"] {
            assert!(!text.contains(banned), "{banned}");
        }
    }
}
