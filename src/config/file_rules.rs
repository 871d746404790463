//! The `[[rule]]` tables of the configuration file.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::file::{Reader, unknown};
use super::keys;
use super::rule_table::{KEYS, OWN_KEYS, RuleTable, SWITCHES, Said};
use crate::base::limits::SITE_RULES_MAX;

const TEXTS: &str = "a text in quotes, or a list of such";

impl Reader<'_> {
    /// The tables of a `[[rule]]` or `[[site.rule]]`.
    pub(super) fn rules(
        &mut self,
        name: &str,
        line: usize,
        value: &Spanned<DeValue<'_>>,
    ) -> Vec<RuleTable> {
        let tables = self.tables(name, line, value);
        if tables.len() > SITE_RULES_MAX {
            let sentence = format!("there are more than {SITE_RULES_MAX} rules");
            self.problems.add(Some(line), sentence);
        }
        let tables = tables.into_iter().take(SITE_RULES_MAX);
        tables
            .filter_map(|(line, table)| self.rule(line, table))
            .collect()
    }

    fn rule(&mut self, line: usize, table: &DeTable<'_>) -> Option<RuleTable> {
        let mut rule = RuleTable {
            path: String::new(),
            line,
            said: Vec::new(),
        };
        let (mut path, mut status) = (None, None);
        let entries = self.entries(table);
        let says_nothing = entries.iter().all(|(key, ..)| *key == "path");
        for (key, line, value) in entries {
            match key {
                "path" => path = Some((self.path(value), line)),
                "headers" => self.headers(value, &mut rule.said),
                "status" => status = self.status(value).map(|status| (status, line)),
                "error-page" if value.get_ref().is_table() => {
                    self.error_pages(value, &mut rule.said);
                }
                _ => match KEYS.iter().find(|(known, _)| *known == key) {
                    Some((key, _)) if SWITCHES.contains(key) => match value.get_ref().as_bool() {
                        Some(true) => rule.said.push(said(key, "", line)),
                        Some(false) => {}
                        None => self.wrong_type(key, "true or false", value),
                    },
                    Some((key, _)) => {
                        let texts = self.texts(key, TEXTS, value).into_iter();
                        let texts = texts.map(|(text, line)| said(key, text, line));
                        rule.said.extend(texts);
                    }
                    None => {
                        let known = KEYS.iter().map(|(key, _)| *key);
                        let sentence = unknown(key, known.chain(OWN_KEYS.iter().copied()));
                        self.problems.add(Some(line), sentence);
                    }
                },
            }
        }
        if let Some((status, line)) = status {
            self.add_status(status, line, &mut rule.said);
        }
        let Some((path, _)) = path else {
            let sentence = "this rule has no path; say which paths it is for, as in path = \"/**\"";
            self.problems.add(Some(line), sentence);
            return None;
        };
        rule.path = path?;
        if says_nothing {
            let sentence = format!("the rule for {} says nothing; add a key to it", rule.path);
            self.problems.add(Some(line), sentence);
        }
        self.check(&rule);
        Some(rule)
    }

    /// The glob of a rule: nothing that the text of a flag would take for something else.
    fn path(&mut self, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let Some(path) = value.get_ref().as_str() else {
            self.wrong_type("path", "a text in quotes", value);
            return None;
        };
        let is_path = path.starts_with('/') || path.starts_with('*');
        if !is_path || path.contains(char::is_whitespace) {
            let line = self.line(value);
            let sentence = format!(
                "path does not take {path:?}; it begins with / or *, as in /assets/** or *.css, \
                 and ? stands for a blank"
            );
            self.problems.add(Some(line), sentence);
            return None;
        }
        Some(path.to_owned())
    }

    /// `{ "X-A" = "b", "X-B" = ["c", "d"], "X-C" = false }`: set, set several, take away.
    fn headers(&mut self, value: &Spanned<DeValue<'_>>, all: &mut Vec<Said>) {
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type("headers", "a table, as in { \"X-A\" = \"b\" }", value);
            return;
        };
        for (name, line, value) in self.entries(table) {
            if value.get_ref().as_bool() == Some(false) {
                all.push(said("header", format!("!{name}"), line));
                continue;
            }
            let takes = "a text in quotes, a list of such, or false to take the field away";
            let texts = self.texts(name, takes, value);
            for (index, (text, line)) in texts.into_iter().enumerate() {
                let adds = if index == 0 { "" } else { "+" };
                all.push(said("header", format!("{adds}{name}: {text}"), line));
            }
        }
    }

    /// `{ 404 = "/404.html" }`
    fn error_pages(&mut self, value: &Spanned<DeValue<'_>>, all: &mut Vec<Said>) {
        let Some(table) = value.get_ref().as_table() else {
            return;
        };
        for (status, line, value) in self.entries(table) {
            match value.get_ref().as_str() {
                Some(page) => all.push(said("error-page", format!("{status}={page}"), line)),
                None => self.wrong_type(status, "a page in quotes", value),
            }
        }
    }

    fn status(&mut self, value: &Spanned<DeValue<'_>>) -> Option<u16> {
        let number = match value.get_ref() {
            DeValue::Integer(number) => number.as_str().parse().ok(),
            _ => None,
        };
        if number.is_none() {
            self.wrong_type("status", "a status such as 308", value);
        }
        number
    }

    /// The status of a table is that of its redirect or rewrite.
    fn add_status(&mut self, status: u16, line: usize, all: &mut [Said]) {
        let is_target = |said: &&mut Said| matches!(said.key, "redirect" | "rewrite");
        let mut targets = all.iter_mut().filter(is_target).peekable();
        if targets.peek().is_none() {
            let sentence = "status means nothing here; it goes with redirect or rewrite";
            self.problems.add(Some(line), sentence);
        }
        targets.for_each(|target| target.text.push_str(&format!(" {status}")));
    }

    fn check(&mut self, rule: &RuleTable) {
        for said in &rule.said {
            let id = KEYS.iter().find(|(key, _)| *key == said.key);
            let id = id.map_or(said.key, |(_, id)| *id);
            if let Err(why) = keys::check_text(id, &said.as_flag(&rule.path)) {
                let text = match said.text.is_empty() {
                    true => &rule.path,
                    false => &said.text,
                };
                let sentence = format!("{} does not take {text:?}; {why}", said.key);
                self.problems.add(Some(said.line), sentence);
            }
        }
    }
}

fn said(key: &'static str, text: impl Into<String>, line: usize) -> Said {
    let text = text.into();
    Said { key, text, line }
}
