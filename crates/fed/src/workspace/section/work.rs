//! Jobs and the audit trail.

use serde_json::{Value, json};

use super::{Action, Answers, Ask, List, Shows, nothing, text};
use crate::output::Column;

pub(super) const JOBS: &[List] = &[
    List::of("Jobs", "jobs/list", WORK)
        .by("job_id")
        .actions(&[RETRY, CANCEL])
        .more(&[Column::time("CREATED", "created_at"), Column::time("CHANGED", "updated_at")])
        .empty("There is no job."),
    List::with("Given up", super::Source::Action("jobs/list", DEAD), WORK)
        .by("job_id")
        .actions(&[RETRY])
        .empty("No job was given up."),
];

const WORK: &[Column] = &[
    Column::new("KIND", "kind"),
    Column::status("STATUS", "status"),
    Column::time("DUE", "due_at"),
    Column::new("TRIES", "attempts"),
    Column::new("LAST ERROR", "last_error"),
    Column::new("CITY", "city_id"),
    Column::new("USER", "user_id"),
    Column::new("ID", "job_id"),
];

const TRAIL: &[Column] = &[
    Column::time("TIME", "created_at"),
    Column::new("ACTION", "action"),
    Column::new("WHAT", "target_id"),
    Column::new("BY", "actor"),
    Column::new("KEY", "key_name"),
    Column::new("CITY", "city_id"),
    Column::new("FROM", "client_address"),
    Column::new("KIND", "target_kind"),
    Column::new("ROW", "seq"),
];

const DEAD: &[(&str, &str)] = &[("status", "dead"), ("limit", "100")];

pub(super) const AUDIT: &[List] = &[List::of("Audit trail", "audit/list", TRAIL)
    .actions(&[VERIFY])
    .more(&[
        Column::new("BEFORE", "before"),
        Column::new("AFTER", "after"),
        Column::new("REQUEST", "request_id"),
        Column::new("HASH", "hash"),
    ])
    .empty("Nothing was changed yet.")];

const VERIFY: Action = Action::call(
    'v',
    "verify",
    "audit/verify",
    |_| "Check that no row of the trail was changed or taken out".to_owned(),
    nothing,
)
.of_list()
.showing(Shows::Report(FOUND));

const FOUND: &[Column] = &[
    Column::status("OK", "ok"),
    Column::new("ROWS", "rows"),
    Column::new("LAST HASH", "hash"),
    Column::new("BROKEN", "broken"),
];

const RETRY: Action = Action::call(
    't',
    "retry",
    "jobs/retry",
    |record| format!("Run {} now", text(record, "job_id")),
    job,
);

const CANCEL: Action = Action::call(
    'x',
    "cancel",
    "jobs/cancel",
    |record| format!("Give up {}: what it should have done is not done", text(record, "job_id")),
    job,
)
.asking(Ask::YesOrNo);

fn job(record: &Value, _: &Answers) -> Value {
    json!({ "job_id": record["job_id"] })
}
