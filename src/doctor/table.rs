//! Findings as text in columns. Pure.

use std::fmt::Write;

use super::findings::{Finding, Verdict};

const SUBJECT_WIDTH: usize = 22;
const VERDICT_WIDTH: usize = 7;

/// The whole page.
pub(super) fn render(kernel: &str, engines: &[Finding], limits: &[Finding]) -> String {
    let mut page = format!("downpour {} on Linux {kernel}\n", env!("CARGO_PKG_VERSION"));
    section(&mut page, "Engines", engines);
    section(&mut page, "Limits", limits);
    let all = engines.iter().chain(limits);
    let weak = all.filter(|row| row.verdict == Verdict::Hurts).count();
    page.push_str(match weak {
        0 => "\nNothing here will hurt.\n",
        1 => "\nOne limit will hurt; its remedy stands behind the arrow.\n",
        _ => "\nSome limits will hurt; their remedies stand behind the arrows.\n",
    });
    page
}

fn section(page: &mut String, title: &str, rows: &[Finding]) {
    write!(page, "\n{title}\n").expect("a String takes any text");
    for row in rows {
        let verdict = match row.verdict {
            Verdict::Yes => "yes",
            Verdict::No => "no",
            Verdict::Fine => "fine",
            Verdict::Hurts => "HURTS",
        };
        let (subject, meaning) = (&row.subject, &row.meaning);
        writeln!(
            page,
            "  {subject:<SUBJECT_WIDTH$}{verdict:<VERDICT_WIDTH$}{meaning}"
        )
        .expect("a String takes any text");
        if let Some(remedy) = &row.remedy {
            let indent = 2 + SUBJECT_WIDTH + VERDICT_WIDTH;
            writeln!(page, "{:indent$}-> {remedy}", "").expect("a String takes any text");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_remedies_follow_their_row() {
        let row = |subject: &str, verdict, remedy: Option<&str>| Finding {
            subject: subject.to_owned(),
            verdict,
            meaning: "because".to_owned(),
            remedy: remedy.map(str::to_owned),
        };
        let engines = [row("epoll", Verdict::Yes, None)];
        let limits = [row("open files", Verdict::Hurts, Some("raise it"))];
        let page = render("6.18", &engines, &limits);
        let expected = "
Engines
  epoll                 yes    because

Limits
  open files            HURTS  because
                               -> raise it

One limit will hurt; its remedy stands behind the arrow.
";
        let rest = page.split_once("on Linux 6.18\n").unwrap().1;
        assert_eq!(rest, expected);
        assert!(render("6.18", &engines, &[]).ends_with("Nothing here will hurt.\n"));
    }
}
