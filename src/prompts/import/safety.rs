//! What must not come in with a prompt: credentials, endpoints, references to the environment.

use crate::prompts::import::{Foreign, Refusal};
use crate::safety::find_key;

/// Names of settings that hold credentials or endpoints, without case, `-` and `_`.
const CONNECTIONS: [&str; 12] = [
    "apibase",
    "apikey",
    "apitoken",
    "authorization",
    "azureendpoint",
    "baseurl",
    "bearertoken",
    "clientsecret",
    "connectionstring",
    "endpoint",
    "password",
    "secretkey",
];

/// Marks of references to the environment.
const ENVIRONMENT: [&str; 4] = ["${env:", "os.environ/", "env::", "{{env."];

/// Refuses what is in `file` and must not be in a prompt, with its line.
pub(super) fn check(file: &Foreign) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let mut refuse = |message: String| {
            let refusal = Refusal::new(&file.path, message).at(index + 1);
            refusals.push(refusal.hint(
                "remove it from the file; credentials and endpoints belong into promptgate.toml",
            ));
        };
        if find_key(line, 0).is_some() {
            refuse("this line holds what looks like a credential".to_owned());
        }
        if ENVIRONMENT.iter().any(|mark| line.contains(mark)) {
            refuse("this line refers to the environment".to_owned());
        }
        for name in setting_names(line) {
            refuse(format!("`{name}` is a credential or an endpoint"));
        }
    }
    refusals
}

/// The names of connections that a line of YAML, JSON or TOML sets.
fn setting_names(line: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    for word in line
        .split(|c: char| !is_name(c))
        .filter(|word| !word.is_empty())
    {
        let plain: String = word
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .collect();
        if CONNECTIONS.contains(&plain.as_str()) && is_set(line, word) {
            names.push(word);
        }
    }
    names
}

/// Whether `word` stands as a key with a value: at the start of the line, behind a brace or a comma.
fn is_set(line: &str, word: &str) -> bool {
    let Some((before, after)) = line.split_once(word) else {
        return false;
    };
    let before = before.trim_end_matches(['"', '\'']).trim_end();
    let after = after.trim_start_matches(['"', '\'']).trim_start();
    let starts = before.is_empty() || before.ends_with(['{', ',', '-', '.']);
    let value = after.strip_prefix([':', '=']);
    // A schema may describe a variable of that name.
    starts
        && value
            .is_some_and(|value| !value.trim().is_empty() && !value.trim().starts_with(['{', '[']))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::prompts::import::Foreign;

    #[test]
    fn connections_are_named_with_their_line() {
        let key = ["sk-", "a1B2c3D4e5F6g7H8i9J0x"].concat();
        for (text, lines) in [
            ("a\n  apiKey: ${env:KEY}".to_owned(), vec![2, 2]),
            (format!("x\ny {key}"), vec![2]),
            ("{\"azure_endpoint\": \"https://x\"}".to_owned(), vec![1]),
            ("api_base = \"x\"".to_owned(), vec![1]),
            ("Call the endpoint: it answers.".to_owned(), vec![]),
            ("inputs:\n  endpoint:\n    kind: string".to_owned(), vec![]),
        ] {
            let file = Foreign {
                path: "f".to_owned(),
                text,
                toml: None,
            };
            let found: Vec<_> = check(&file)
                .iter()
                .map(|refusal| refusal.line.unwrap())
                .collect();
            assert_eq!(found, lines, "{}", file.text);
        }
    }
}
