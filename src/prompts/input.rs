//! Checks the variables of a call before anything is rendered: missing, wrong, unknown.

use crate::domain::nearest_names;
use crate::prompts::error::{Error, InvalidVariable};
use crate::prompts::scope::declared;
use crate::prompts::usage::Usage;
use crate::prompts::value;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Bytes of all variables of a call together.
const MAX_VARIABLES_BYTES: usize = 1 << 20;

/// Keywords of a schema whose properties can be checked one by one.
const PLAIN_KEYWORDS: [&str; 10] = [
    "$schema",
    "additionalProperties",
    "default",
    "description",
    "examples",
    "properties",
    "required",
    "title",
    "type",
    "$comment",
];

/// The compiled contract of a prompt's variables.
#[derive(Debug)]
pub(super) struct InputContract {
    schema: Option<Schema>,
    usage: Usage,
    is_strict: bool,
}

#[derive(Debug)]
struct Schema {
    value: Value,
    required: Vec<String>,
    validators: Validators,
}

#[derive(Debug)]
enum Validators {
    /// One per property, so that the variables need not be copied into one object.
    ByProperty(BTreeMap<String, Validator>),
    Whole(Box<Validator>),
}

impl InputContract {
    /// Compiles the contract. The error is in words.
    pub(super) fn compile(
        schema: Option<&Value>,
        usage: Usage,
        is_strict: bool,
    ) -> Result<Self, String> {
        let schema = match schema {
            Some(schema) => Some(Schema::compile(schema)?),
            None => None,
        };
        Ok(Self {
            schema,
            usage,
            is_strict,
        })
    }

    /// Returns the variables that the template uses and the schema does not declare, with lines.
    pub(super) fn undeclared_uses(&self) -> Vec<(&str, usize)> {
        let Some(schema) = &self.schema else {
            return Vec::new();
        };
        self.usage
            .variables
            .iter()
            .filter(|(name, _)| schema.is_closed() && !schema.declares(name))
            .map(|(name, used)| (name.as_str(), used.line))
            .collect()
    }

    /// Returns the names of the variables: those of the schema, else those the template uses.
    pub(super) fn names(&self) -> Vec<&str> {
        match &self.schema {
            Some(schema) => schema.names().collect(),
            None => self.usage.variables.keys().map(String::as_str).collect(),
        }
    }

    /// Whether a call without `name` (and without a default) is refused.
    pub(super) fn requires(&self, name: &str) -> bool {
        match &self.schema {
            Some(schema) => schema.required.iter().any(|required| required == name),
            None => self
                .usage
                .variables
                .get(name)
                .is_some_and(|used| used.is_required),
        }
    }

    /// Checks `layers`, strongest first, of which the first is the call's own. Returns warnings.
    pub(super) fn check(&self, layers: &[&Map<String, Value>; 3]) -> Result<Vec<String>, Error> {
        let size: usize = layers
            .iter()
            .flat_map(|layer| layer.iter())
            .map(|(name, value)| name.len() + size_of(value))
            .sum();
        if MAX_VARIABLES_BYTES < size {
            return Err(invalid(
                "",
                format!("at most {MAX_VARIABLES_BYTES} bytes together"),
            ));
        }
        let is_missing = |name: &&str| !layers.iter().any(|layer| layer.contains_key(*name));
        let missing: Vec<String> = self
            .names()
            .into_iter()
            .filter(|name| self.requires(name))
            .filter(is_missing)
            .map(str::to_owned)
            .collect();
        if !missing.is_empty() {
            return Err(Error::MissingVariables { names: missing });
        }
        let warnings = self.check_unknown(layers)?;
        if let Some(schema) = &self.schema {
            schema.check(layers)?;
        }
        Ok(warnings)
    }

    fn check_unknown(&self, layers: &[&Map<String, Value>; 3]) -> Result<Vec<String>, Error> {
        let is_known = |name: &str| match &self.schema {
            Some(schema) => !schema.is_closed() || schema.declares(name),
            None => self.usage.uses_all || self.usage.variables.contains_key(name),
        };
        let mut warnings = Vec::new();
        for name in layers.iter().take(2).flat_map(|layer| layer.keys()) {
            if is_known(name) {
                continue;
            }
            let nearest = nearest_names(name, self.names().into_iter());
            if self.is_strict {
                return Err(Error::UnknownVariable {
                    name: name.clone(),
                    nearest: nearest.into_iter().map(str::to_owned).collect(),
                });
            }
            let shown: String = name.chars().take(64).filter(|c| !c.is_control()).collect();
            warnings.push(match nearest.first() {
                Some(near) => format!("variable `{shown}` is unknown; did you mean `{near}`?"),
                None => format!("variable `{shown}` is unknown"),
            });
        }
        Ok(warnings)
    }
}

fn invalid(pointer: &str, expected: String) -> Error {
    Error::InvalidVariables {
        variables: vec![InvalidVariable {
            pointer: pointer.to_owned(),
            expected,
        }],
    }
}

impl Schema {
    fn compile(schema: &Value) -> Result<Self, String> {
        let kind = schema.get("type").and_then(Value::as_str);
        if kind.is_some_and(|kind| kind != "object") {
            return Err("`input.schema` must describe an object: the variables".to_owned());
        }
        let required = schema.get("required").and_then(Value::as_array);
        let required = required
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        let map = schema.as_object().ok_or("`input.schema` is no mapping")?;
        // The whole is compiled in any case: it finds what is wrong with the schema itself.
        let whole = compile(schema)?;
        let is_plain = map.keys().all(|key| PLAIN_KEYWORDS.contains(&key.as_str()))
            && !schema.to_string().contains("\"$ref\"");
        let properties = map.get("properties").and_then(Value::as_object);
        let validators = match properties.filter(|_| is_plain) {
            Some(properties) => {
                let mut validators = BTreeMap::new();
                for (name, property) in properties {
                    validators.insert(name.clone(), compile(property)?);
                }
                Validators::ByProperty(validators)
            }
            None => Validators::Whole(Box::new(whole)),
        };
        Ok(Self {
            value: schema.clone(),
            required,
            validators,
        })
    }

    fn is_closed(&self) -> bool {
        self.value.get("additionalProperties") == Some(&Value::Bool(false))
    }

    fn declares(&self, name: &str) -> bool {
        declared(&self.value, name, Some(&self.value), 0).is_some()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let properties = self.value.get("properties").and_then(Value::as_object);
        properties
            .into_iter()
            .flat_map(|properties| properties.keys().map(String::as_str))
    }

    fn check(&self, layers: &[&Map<String, Value>; 3]) -> Result<(), Error> {
        let mut faults = Faults::default();
        match &self.validators {
            Validators::ByProperty(validators) => {
                let rest = self
                    .value
                    .get("additionalProperties")
                    .filter(|rest| rest.is_object());
                let named = validators.iter().filter_map(|(name, validator)| {
                    let value = layers.iter().find_map(|layer| layer.get(name))?;
                    Some((name, validator, value))
                });
                for (name, validator, value) in named {
                    if !validator.is_valid(value) {
                        faults.note(name, validator.iter_errors(value));
                    }
                }
                if rest.is_some() {
                    self.check_rest(layers, validators, &mut faults);
                }
            }
            Validators::Whole(validator) => {
                let mut all = Map::new();
                for layer in layers.iter().rev() {
                    let known = |name: &String| !self.is_closed() || self.declares(name);
                    all.extend(
                        layer
                            .iter()
                            .filter(|(name, _)| known(name))
                            .map(|(name, value)| (name.clone(), value.clone())),
                    );
                }
                let all = Value::Object(all);
                faults.note("", validator.iter_errors(&all));
            }
        }
        faults.into_result()
    }

    /// Checks variables that are not named against the schema of all others.
    fn check_rest(
        &self,
        layers: &[&Map<String, Value>; 3],
        named: &BTreeMap<String, Validator>,
        faults: &mut Faults,
    ) {
        let Some(rest) = self.value.get("additionalProperties") else {
            return;
        };
        // Rare, and the schema was found good when the whole was compiled.
        let Ok(validator) = compile(rest) else { return };
        for (name, value) in layers.iter().flat_map(|layer| layer.iter()) {
            if !named.contains_key(name) {
                faults.note(name, validator.iter_errors(value));
            }
        }
    }
}

/// What a variable counts. Media that it carries in itself has bounds of its own.
fn size_of(value: &Value) -> usize {
    let scheme = value.as_str().and_then(|text| text.get(..5));
    if scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:")) {
        return 0;
    }
    value::size(value)
}

pub(super) fn compile(schema: &Value) -> Result<Validator, String> {
    jsonschema::options()
        .offline()
        .build(schema)
        .map_err(|error| {
            format!(
                "broken JSON Schema at `{}`: {}",
                error.instance_path(),
                error.masked()
            )
        })
}

#[derive(Default)]
struct Faults {
    missing: Vec<String>,
    invalid: Vec<InvalidVariable>,
}

impl Faults {
    fn note<'e>(&mut self, name: &str, errors: impl Iterator<Item = ValidationError<'e>>) {
        for error in errors.take(20) {
            let path = error.instance_path().as_str();
            let pointer = if name.is_empty() {
                path.to_owned()
            } else {
                format!("/{}{path}", name.replace('~', "~0").replace('/', "~1"))
            };
            match error.kind() {
                ValidationErrorKind::Required { property } => {
                    let inner = property.as_str().unwrap_or_default();
                    let place = pointer.trim_start_matches('/').replace('/', ".");
                    self.missing
                        .push(format!("{place}.{inner}").trim_matches('.').to_owned());
                }
                kind => self.invalid.push(InvalidVariable {
                    pointer,
                    expected: expectation(kind),
                }),
            }
        }
    }

    fn into_result(self) -> Result<(), Error> {
        if !self.missing.is_empty() {
            return Err(Error::MissingVariables {
                names: self.missing,
            });
        }
        if !self.invalid.is_empty() {
            return Err(Error::InvalidVariables {
                variables: self.invalid,
            });
        }
        Ok(())
    }
}

/// Returns where `value` does not fit `schema`, as JSON pointers, and what is expected there; what
/// is missing does not count.
pub(super) fn violations(schema: &Value, value: &Value) -> Vec<(String, String)> {
    let Ok(validator) = compile(schema) else {
        return Vec::new();
    };
    let mut faults = Faults::default();
    faults.note("", validator.iter_errors(value));
    let invalid = faults.invalid.into_iter();
    invalid
        .map(|fault| (fault.pointer, fault.expected))
        .collect()
}

/// Says what the schema expects, without the value that was given.
fn expectation(kind: &ValidationErrorKind) -> String {
    match kind {
        ValidationErrorKind::Type {
            kind: TypeKind::Single(kind),
        } => format!("of type {kind}"),
        ValidationErrorKind::Type {
            kind: TypeKind::Multiple(kinds),
        } => {
            let kinds: Vec<_> = kinds.iter().map(|kind| kind.to_string()).collect();
            format!("of type {}", kinds.join(" or "))
        }
        ValidationErrorKind::Enum { options } => format!("one of {options}"),
        ValidationErrorKind::Constant { expected_value } => format!("{expected_value}"),
        ValidationErrorKind::Minimum { limit } => format!("at least {limit}"),
        ValidationErrorKind::Maximum { limit } => format!("at most {limit}"),
        ValidationErrorKind::MinLength { limit } => format!("at least {limit} characters long"),
        ValidationErrorKind::MaxLength { limit } => format!("at most {limit} characters long"),
        ValidationErrorKind::MinItems { limit } => format!("a list of at least {limit}"),
        ValidationErrorKind::MaxItems { limit } => format!("a list of at most {limit}"),
        ValidationErrorKind::Pattern { pattern } => format!("text that matches `{pattern}`"),
        ValidationErrorKind::Format { format } => format!("a {format}"),
        ValidationErrorKind::AdditionalProperties { .. } => {
            "an object with the declared keys only".to_owned()
        }
        other => format!("valid by `{}`", other.keyword()),
    }
}

#[cfg(test)]
mod tests {
    use super::InputContract;
    use crate::prompts::compile::compile;
    use crate::prompts::error::Error;
    use crate::prompts::evaluate::Partials;
    use crate::prompts::usage;
    use serde_json::{Map, Value, json};

    fn contract(schema: Option<&Value>, template: &str, is_strict: bool) -> InputContract {
        let program = compile(template, 1).unwrap();
        let usage = usage::find(&program, &Partials::new());
        InputContract::compile(schema, usage, is_strict).unwrap()
    }

    fn check(contract: &InputContract, variables: &Value) -> Result<Vec<String>, Error> {
        let (none, variables) = (Map::new(), variables.as_object().cloned().unwrap());
        contract.check(&[&variables, &none, &none])
    }

    fn schema() -> Value {
        json!({"type": "object", "additionalProperties": false, "required": ["id", "kind"],
            "properties": {
                "id": {"type": "string", "maxLength": 5},
                "kind": {"enum": ["a", "b"]},
                "customer": {"type": "object", "required": ["name"],
                             "properties": {"name": {"type": "string"}}}}})
    }

    #[test]
    fn all_missing_variables_are_named_at_once() {
        for contract in [
            contract(Some(&schema()), "{{id}}{{kind}}", false),
            contract(None, "{{id}}{{kind}}{{#if extra}}{{extra}}{{/if}}", false),
        ] {
            let error = check(&contract, &json!({})).unwrap_err();
            assert_eq!(error.kind(), "missing_prompt_variables");
            assert_eq!(
                error.to_string(),
                "missing variables of the prompt: `id`, `kind`"
            );
            assert_eq!(error.param().unwrap(), "prompt.variables.id");
        }
        let contract = contract(Some(&schema()), "x", false);
        let error = check(&contract, &json!({"id": "1", "kind": "a", "customer": {}})).unwrap_err();
        assert_eq!(
            error.to_string(),
            "missing variables of the prompt: `customer.name`"
        );
    }

    #[test]
    fn wrong_variables_are_told_by_pointer_and_never_by_value() {
        let mut whole = schema();
        whole["minProperties"] = json!(1);
        for schema in [schema(), whole] {
            let contract = contract(Some(&schema), "x", false);
            for (variables, text) in [
                (
                    json!({"id": 987_654, "kind": "a"}),
                    "`/id` must be of type string",
                ),
                (
                    json!({"id": "987654", "kind": "a"}),
                    "`/id` must be at most 5 characters long",
                ),
                (
                    json!({"id": "1", "kind": "987654"}),
                    "`/kind` must be one of [\"a\",\"b\"]",
                ),
                (
                    json!({"id": "1", "kind": "a", "customer": {"name": 987_654}}),
                    "`/customer/name` must be of type string",
                ),
            ] {
                let error = check(&contract, &variables).unwrap_err();
                assert_eq!(error.kind(), "invalid_prompt_variable");
                let words = error.to_string();
                assert!(words.ends_with(text), "{words}");
                assert!(!words.contains("987"), "{words}");
            }
        }
    }

    #[test]
    fn unknown_variables_warn_and_refuse_only_where_the_prompt_is_strict() {
        let variables = json!({"id": "1", "kind": "a", "custmer": {}});
        let lenient = contract(Some(&schema()), "x", false);
        assert_eq!(
            check(&lenient, &variables).unwrap(),
            ["variable `custmer` is unknown; did you mean `customer`?"]
        );
        let strict = contract(Some(&schema()), "x", true);
        let error = check(&strict, &variables).unwrap_err();
        assert_eq!(error.kind(), "unknown_prompt_variable");
        assert_eq!(error.hint().unwrap(), "did you mean `customer`?");
    }

    #[test]
    fn variables_are_limited_in_size() {
        let contract = contract(None, "{{a}}", false);
        assert!(check(&contract, &json!({"a": "x".repeat(1 << 19)})).is_ok());
        let error = check(&contract, &json!({"a": "x".repeat(1 << 20)})).unwrap_err();
        assert_eq!(error.kind(), "invalid_prompt_variable");
    }

    #[test]
    fn a_schema_that_is_open_is_checked_for_every_other_name() {
        let open = json!({"type": "object", "properties": {"id": {"type": "string"}},
                          "additionalProperties": {"type": "number"}});
        let contract = contract(Some(&open), "{{id}}{{other}}", true);
        assert!(
            check(&contract, &json!({"id": "x", "other": 1}))
                .unwrap()
                .is_empty()
        );
        let error = check(&contract, &json!({"id": "x", "other": "y"})).unwrap_err();
        assert!(error.to_string().contains("`/other`"));
        assert!(contract.undeclared_uses().is_empty());
    }

    #[test]
    fn schemas_that_cannot_hold_variables_are_refused() {
        for schema in [
            json!({"type": "string"}),
            json!({"type": "object", "properties": {"a": {"type": 7}}}),
        ] {
            let usage = usage::Usage::default();
            assert!(
                InputContract::compile(Some(&schema), usage, false).is_err(),
                "{schema}"
            );
        }
    }
}
