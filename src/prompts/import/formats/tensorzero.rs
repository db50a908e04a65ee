//! `TensorZero`: functions and variants in TOML, templates in `MiniJinja`, schemas in JSON.

use crate::prompts::import::file::Imported;
use crate::prompts::import::formats::{Read, refuse, settings, text_of, untranslatable};
use crate::prompts::import::jinja::{Dialect, translate};
use crate::prompts::import::template::Turn;
use crate::prompts::import::{Foreign, Refusal};
use crate::prompts::syntax::Role;
use serde_json::{Map, Value, json};

/// Fields of a variant that are read one by one.
const KNOWN: [&str; 11] = [
    "assistant_template",
    "input_wrappers",
    "json_mode",
    "model",
    "retries",
    "system_template",
    "templates",
    "timeouts",
    "type",
    "user_template",
    "weight",
];

pub(super) fn read(files: &[Foreign]) -> Read {
    let configs = files
        .iter()
        .filter_map(|file| Some((file, file.toml.as_ref()?)));
    let (mut prompts, mut refusals, mut is_there) = (Vec::new(), Vec::new(), false);
    for (file, config) in configs {
        is_there = true;
        let functions = config.get("functions").and_then(Value::as_object);
        for (name, function) in functions.into_iter().flatten() {
            let reader = Function {
                file,
                files,
                config,
                name,
                function,
            };
            match reader.read() {
                Ok(read) => prompts.extend(read),
                Err(refused) => refusals.extend(refused),
            }
        }
    }
    match files.first() {
        Some(file) if !is_there || (prompts.is_empty() && refusals.is_empty()) => Err(refuse(
            file,
            "there is no TOML file with `[functions.NAME]`",
        )),
        _ if refusals.is_empty() => Ok(prompts),
        _ => Err(refusals),
    }
}

struct Function<'a> {
    file: &'a Foreign,
    files: &'a [Foreign],
    config: &'a Value,
    name: &'a str,
    function: &'a Value,
}

impl Function<'_> {
    fn read(&self) -> Read {
        let variants = self.function.get("variants").and_then(Value::as_object);
        let mut variants: Vec<(&String, &Value)> = variants.into_iter().flatten().collect();
        let weight = |variant: &Value| variant.get("weight").and_then(Value::as_f64).unwrap_or(0.0);
        variants.sort_by(|a, b| weight(b.1).total_cmp(&weight(a.1)));
        if variants.is_empty() {
            return Err(refuse(
                self.file,
                format!("the function `{}` has no variants", self.name),
            ));
        }
        let has_several = 1 < variants.len();
        let mut prompts = Vec::new();
        for (index, (variant, value)) in variants.into_iter().enumerate() {
            // The one with the highest weight is what callers get who ask for none.
            let name = if index == 0 {
                self.name.to_owned()
            } else {
                format!("{}.{}", self.name, variant.replace('.', "-"))
            };
            let mut prompt = self.variant(&name, variant, value)?;
            if has_several {
                let weight = weight(value);
                prompt.dropped(format!("the weight {weight} of the variant `{variant}`: set a canary in `releases.yaml`"));
            }
            prompts.push(prompt);
        }
        Ok(prompts)
    }

    fn variant(&self, name: &str, variant: &str, value: &Value) -> Result<Imported, Vec<Refusal>> {
        let mut prompt = Imported::new(&self.file.path, name);
        let kind = text_of(value, "type").unwrap_or("chat_completion");
        if kind != "chat_completion" {
            let message = format!(
                "the variant `{variant}` of `{}` is of type `{kind}`",
                self.name
            );
            return Err(refuse(self.file, message));
        }
        prompt.description = text_of(self.function, "description").map(str::to_owned);
        prompt.model = text_of(value, "model").map(|model| model.replacen("::", "/", 1));
        for (key, role) in [
            ("system_template", Role::System),
            ("user_template", Role::User),
        ] {
            if let Some(template) = value.get(key) {
                self.template(&mut prompt, template, role)?;
            }
        }
        for key in ["assistant_template", "templates", "input_wrappers"] {
            if value.get(key).is_some() {
                let message = format!(
                    "`{key}` of the variant `{variant}` is placed by callers, which a prompt here is not"
                );
                return Err(refuse(self.file, message));
            }
        }
        if prompt.turns.is_empty() {
            return Err(refuse(
                self.file,
                format!("the variant `{variant}` of `{}` has no template", self.name),
            ));
        }
        let settings_of: Map<String, Value> = value
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(key, _)| !KNOWN.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        settings(&mut prompt, &settings_of);
        for key in ["retries", "timeouts", "json_mode"] {
            if value.get(key).is_some() {
                prompt.dropped(format!("`{key}`"));
            }
        }
        self.schemas(&mut prompt)?;
        self.tools(&mut prompt)?;
        Ok(prompt)
    }

    /// The file that a value names, by text or by `path`.
    fn named(&self, value: &Value) -> Result<&Foreign, Vec<Refusal>> {
        let path = value
            .as_str()
            .or_else(|| text_of(value, "path"))
            .unwrap_or_default();
        let directory = self
            .file
            .path
            .rsplit_once('/')
            .map_or("", |(directory, _)| directory);
        let wanted = format!("{directory}/{}", path.trim_start_matches("./"));
        let wanted = wanted.trim_start_matches('/');
        let found = self.files.iter().find(|file| file.path == wanted);
        found.ok_or_else(|| {
            refuse(
                self.file,
                format!("`{path}` is not among the imported files"),
            )
        })
    }

    fn template(
        &self,
        prompt: &mut Imported,
        value: &Value,
        role: Role,
    ) -> Result<(), Vec<Refusal>> {
        let file = self.named(value)?;
        // The engine leaves a line break at the end out.
        let text = file.text.strip_suffix('\n').unwrap_or(&file.text);
        let translated =
            translate(text, 1, Dialect::Jinja).map_err(|problem| untranslatable(file, problem))?;
        prompt.defaults.extend(translated.defaults);
        prompt.turns.push(Turn::Message(role, translated.nodes));
        Ok(())
    }

    fn schema(&self, value: &Value) -> Result<Value, Vec<Refusal>> {
        let file = self.named(value)?;
        super::parse_json(file)
    }

    /// The variables of all templates together, and the form of the answer.
    fn schemas(&self, prompt: &mut Imported) -> Result<(), Vec<Refusal>> {
        let (mut properties, mut required) = (Map::new(), Vec::new());
        let mut is_closed = false;
        for key in ["system_schema", "user_schema"] {
            let Some(value) = self.function.get(key) else {
                continue;
            };
            let schema = self.schema(value)?;
            is_closed |= schema.get("additionalProperties") == Some(&Value::Bool(false));
            for (name, property) in schema
                .get("properties")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
            {
                if properties.get(name).is_some_and(|other| other != property) {
                    return Err(refuse(
                        self.file,
                        format!("`{name}` is declared twice, and differently"),
                    ));
                }
                properties.insert(name.clone(), property.clone());
            }
            required.extend(
                schema
                    .get("required")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    .cloned(),
            );
        }
        if !properties.is_empty() {
            let mut schema =
                json!({"type": "object", "properties": properties, "required": required});
            if let Some(map) = schema.as_object_mut().filter(|_| is_closed) {
                map.insert("additionalProperties".to_owned(), json!(false));
            }
            prompt.input = Some(schema);
        }
        if let Some(value) = self.function.get("output_schema") {
            prompt.output.insert("format".to_owned(), json!("json"));
            prompt
                .output
                .insert("schema".to_owned(), self.schema(value)?);
        }
        Ok(())
    }

    fn tools(&self, prompt: &mut Imported) -> Result<(), Vec<Refusal>> {
        let names = self.function.get("tools").and_then(Value::as_array);
        for name in names.into_iter().flatten().filter_map(Value::as_str) {
            let tool = self.config.get("tools").and_then(|tools| tools.get(name));
            let tool =
                tool.ok_or_else(|| refuse(self.file, format!("there is no `[tools.{name}]`")))?;
            let mut map = Map::from_iter([(
                "name".to_owned(),
                json!(text_of(tool, "name").unwrap_or(name)),
            )]);
            if let Some(description) = text_of(tool, "description") {
                map.insert("description".to_owned(), json!(description));
            }
            if let Some(parameters) = tool.get("parameters") {
                map.insert("inputSchema".to_owned(), self.schema(parameters)?);
            }
            prompt.tools.push(Value::Object(map));
        }
        Ok(())
    }
}
