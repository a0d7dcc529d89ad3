//! Tools and the choice among them.

use downcity_core::{Error, Result};
use serde_json::{Map, Value, json};

use super::content::mark;
use super::request::{Taste, only, says_nothing};

/// The functions that the model may call.
///
/// # Errors
/// 400 that names the tool: those that a provider runs itself are not taken.
pub(super) fn tools(value: &Value, taste: Taste) -> Result<Vec<Value>> {
    let list = value.as_array().ok_or_else(|| Error::invalid("tools", "must be a list"))?;
    let tools = list.iter().enumerate().map(|(index, tool)| {
        let path = format!("tools[{index}]");
        let kind = tool.get("type").filter(|kind| !kind.is_null());
        if kind.is_some_and(|kind| kind != "custom") {
            let message = "tools that a provider runs are not taken; offer a function of your own";
            return Err(Error::invalid(format!("{path}.type"), message));
        }
        let known = [
            "type",
            "name",
            "description",
            "input_schema",
            "strict",
            "cache_control",
            // How the arguments are cut into pieces.
            "eager_input_streaming",
        ];
        only(tool, &path, &known)?;
        let Some(name) = tool.get("name").and_then(Value::as_str).filter(|name| !name.is_empty())
        else {
            return Err(Error::invalid(format!("{path}.name"), "is required"));
        };
        let Some(schema) = tool.get("input_schema").filter(|schema| schema.is_object()) else {
            return Err(Error::invalid(format!("{path}.input_schema"), "must be a JSON schema"));
        };
        let mut function = Map::new();
        function.insert("name".to_owned(), json!(name));
        if let Some(text) = tool.get("description").and_then(Value::as_str) {
            function.insert("description".to_owned(), json!(text));
        }
        function.insert("parameters".to_owned(), schema.clone());
        if tool.get("strict").is_some_and(|strict| !says_nothing(strict)) {
            function.insert("strict".to_owned(), Value::Bool(true));
        }
        Ok(mark(json!({"type": "function", "function": function}), tool, taste))
    });
    tools.collect()
}

/// Adds the choice to a request that has its tools.
///
/// # Errors
/// 400 that names the field.
pub(super) fn tool_choice(choice: &Value, chat: &mut Map<String, Value>) -> Result<()> {
    only(choice, "tool_choice", &["type", "name", "disable_parallel_tool_use"])?;
    let kind = choice.get("type").and_then(Value::as_str);
    let has_tools = chat.contains_key("tools");
    let native = match (kind, choice.get("name").and_then(Value::as_str)) {
        (Some("auto"), _) => json!("auto"),
        (Some("none"), _) => json!("none"),
        (Some("any"), _) if has_tools => json!("required"),
        (Some("tool"), Some(name)) if has_tools => {
            json!({"type": "function", "function": {"name": name}})
        }
        (Some("tool"), None) => {
            return Err(Error::invalid("tool_choice.name", "names the tool to be called"));
        }
        (Some("any" | "tool"), _) => {
            return Err(Error::invalid("tool_choice", "needs `tools` to choose from"));
        }
        _ => {
            return Err(Error::invalid("tool_choice.type", "must be auto, any, tool or none"));
        }
    };
    if !has_tools {
        return Ok(());
    }
    chat.insert("tool_choice".to_owned(), native);
    if choice.get("disable_parallel_tool_use") == Some(&Value::Bool(true)) {
        chat.insert("parallel_tool_calls".to_owned(), Value::Bool(false));
    }
    Ok(())
}
