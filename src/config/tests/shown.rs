//! What is shown of a configuration is the same configuration.

use proptest::prelude::*;

use super::*;

#[test]
fn what_is_shown_is_the_same_configuration() {
    let awkward = "header = [\"X-A: \\\"b\\\\\\tc\"]\nmaintenance = [true, \"/a/**\"]\n\
                   listen = \"unix:d.sock\"\nhttps-redirect = false\n";
    for text in [&example(), awkward, ""] {
        let scratch = place(text);
        let (asked, config) = check_with(scratch.path(), &["--workers=2"]).unwrap();
        let shown = show::show(&asked);
        assert!(shown.contains("\nworkers = 2 # flag\n"), "{shown}");
        assert!(shown.contains("\nbacklog = 4096 # default\n"), "{shown}");
        std::fs::write(scratch.path().join("d.toml"), &shown).unwrap();
        let (again, same) = check_with(scratch.path(), &[]).unwrap();
        assert_eq!(format!("{same:?}"), format!("{config:?}"), "{shown}");
        let values = |page: &str| {
            let values = page
                .lines()
                .map(|line| line.rsplit_once(" # ").map(|(value, _)| value));
            values
                .map(|value| value.unwrap_or("").to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(values(&show::show(&again)), values(&shown));
    }
}

const ODD_VALUES: &str =
    "[\"a-z0-9:/=.,\\[\\] $*]{0,12}|true|-?[0-9]{1,20}|\"[ -~]{0,9}\"|\\[\"[!-~]{0,9}\"\\]";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_file_is_answered_without_a_panic(
        lines in proptest::collection::vec(
            prop_oneof![
                (0..SAMPLES.len(), ODD_VALUES)
                    .prop_map(|(index, value)| format!("{} = {value}", SAMPLES[index].0)),
                (0..SAMPLES.len())
                    .prop_map(|index| format!("{} = {}", SAMPLES[index].0, SAMPLES[index].1)),
                Just("[[site]]".to_owned()),
                Just("[[rule]]\npath = \"/a/**\"".to_owned()),
                Just("[[site.rule]]\npath = \"*.css\"\nmaintenance = true".to_owned()),
                "\\PC{0,24}",
            ],
            0..8,
        ),
    ) {
        let scratch = place(&lines.join("\n"));
        if let Ok((asked, config)) = check_with(scratch.path(), &[]) {
            std::fs::write(scratch.path().join("d.toml"), show::show(&asked)).unwrap();
            let (_, same) = check_with(scratch.path(), &[]).unwrap();
            prop_assert_eq!(format!("{same:?}"), format!("{config:?}"));
        }
    }
}
