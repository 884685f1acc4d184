//! sealroom keeps credentials in one encrypted file and records every disclosure.
//!
//! # Bird's eye
//!
//! A request walks one corridor: [`http`] finds the route, the token and the caller; [`vault`] asks the policy, reads
//! rows and decides; [`storage`]'s one commit thread decides again on the newest state, writes rows, audit records,
//! tree and signed checkpoint in one durable transaction; only then does the answer leave.
//!
//! ```text
//! accept → route → locked? → bearer → caller → policy → body → use case
//!   └ read: open rows and credential in the request's own task, from the last committed state
//!   └ job → commit thread: same state? keep the permit, else authenticate and authorize again
//!       → records → commit → answers, a batch at a time
//! ```
//!
//! # Map, in reading order; a module imports only from lower layers
//!
//! | layer | module | owns |
//! |---|---|---|
//! | 0 | [`domain`] | plain values; no I/O, clock, async or serde |
//! | 1 | [`crypto`] | every primitive, and the random source |
//! | 1 | [`disk`] | the locked file, and the backends between it and the engine |
//! | 1 | [`config`] | the config file and the defaults |
//! | 1 | [`api`] | wire types |
//! | 1 | [`stats`] | counters and histograms |
//! | 2 | [`audit`] | records, Merkle tree, signed checkpoints |
//! | 2 | [`auth`] | tokens, passwords, second factors, the policy table, the limiter |
//! | 2 | [`outgoing`] | calls to a provider: allowed hosts, TLS, GitHub's App tokens |
//! | 3 | [`storage`] | the file, the view, the writer |
//! | 4 | [`vault`] | the use cases |
//! | 5 | [`clock`], [`http`], [`client`] | time; the server; the client, which knows `api` and `domain` alone |
//! | 6 | [`cli`] | the commands |
//!
//! # Invariants, each with the test that pins it
//!
//! - A plaintext credential exists only between `seal::open` and the response writer, and on its way in
//!   (`audit::canary::no_secret_of_a_whole_run_stands_in_log_audit_metrics_errors_or_file`).
//! - One thread writes the file, through its commit
//!   (`crash::faults::no_thread_that_serves_requests_ever_waits_for_the_disk`). Only `storage::Decision::changing` takes
//!   changes, together with their event.
//! - `exec` gives values to one program and shows no form of them in its output
//!   (`cli::exec::no_form_of_a_value_is_ever_shown_whatever_prints_it`,
//!   `cli::exec_jobs::no_value_is_ever_in_a_process_list_a_file_or_a_core_of_exec`).
//! - No disclosure without a durable record: the answer is made of the commit's result
//!   (`audit::export::over_any_mix_of_requests_disclosures_and_their_events_are_the_same`).
//! - A witness follows one history of a log and only forward, across kills, and no key of it begins again from an empty
//!   state (`audit::witness::no_second_history_of_a_log_is_ever_cosigned`,
//!   `audit::witness_kills::no_checkpoint_that_was_cosigned_is_forgotten_by_a_kill`,
//!   `audit::witness_state::no_key_ever_begins_again_from_an_empty_state`).
//! - Opening a credential takes a proof that only [`auth::policy`] makes
//!   (`auth::policy::tests::only_a_permit_to_read_credentials_discloses`).
//! - The server calls no host that its config file does not list, and a minted token outlives neither its App's version
//!   nor the open vault (`api::auth_token::no_other_host_is_ever_called_than_the_settings_list`,
//!   `api::minting::nothing_that_was_taken_away_during_the_call_is_disclosed_after_it`).
//! - No read of a canary goes without its alarm, and none is answered otherwise than another read
//!   (`api::canaries::no_way_to_read_a_canary_goes_without_its_alarm`,
//!   `api::canaries::a_canary_is_answered_as_any_other_credential_in_every_byte`,
//!   `api::canary_cost::a_read_of_a_canary_never_costs_the_disk_another_call_or_byte`). What was not recorded raises none
//!   (`crash::alarms::no_read_that_was_not_recorded_raises_an_alarm`).
//! - A notice waits for nobody, and its command never runs in a process that has a key
//!   (`host::notices::a_target_that_hangs_delays_no_answer_and_no_shutdown_and_leaves_no_process`).
//! - After a revocation or a lock is answered, nothing that it took away leaves
//!   (`api::revocation::a_revoked_token_cannot_finish_a_read`,
//!   `api::backup_revocation::a_backup_under_way_cannot_outlive_the_right_to_it`,
//!   `audit::tree::nothing_is_decided_or_recorded_once_a_lock_is_decided`).
//! - A roll gives nobody more than the token had, and a leave takes away all that the user held, and the tokens that it created
//!   (`api::rolls::a_roll_revives_nothing_that_the_token_lost`,
//!   `api::leaving::a_user_who_left_has_nothing_that_lets_anybody_in`).
//! - A record leaves the server only if the sealed head vouches for it
//!   (`audit::sealed::an_old_record_that_was_changed_in_the_closed_file_cannot_leave_the_server`).
//! - An exposure is what a plain loop over the log finds, and an archived record that could change it refuses the answer
//!   (`audit::exposure_histories::over_random_histories_the_engine_and_a_plain_loop_over_the_log_agree`).
//! - An older copy of the file stays locked where a checkpoint is kept elsewhere
//!   (`audit::rollback::an_older_copy_of_the_file_stays_locked_until_the_operator_accepts_it`).
//! - Whoever rotates a credential could create it now
//!   (`api::rights::a_narrowed_member_rotates_nothing_outside_its_narrowing`).
//! - One process has the file: its own inode is locked before the first byte is read, whatever the file is called
//!   (`host::exclusion::no_other_name_of_a_served_file_lets_a_second_server_in`).
//! - Nothing is acknowledged into a file that its path does not lead to: each sync looks
//!   (`host::displaced::nothing_is_acknowledged_or_disclosed_into_a_file_that_its_path_does_not_lead_to`).
//! - A backup is the state of one moment, whatever is committed meanwhile, and is verified before it is called done
//!   (`storage::copy::tests::no_change_of_any_kind_at_any_step_of_a_copy_is_lost_or_half_in_it`).
//! - An export, imported into an empty vault, gives the same vault
//!   (`cli::roundtrip::an_export_imported_into_an_empty_vault_gives_the_same_vault`).
//! - An older file is migrated once and whole, with a copy of it kept before its first byte changes
//!   (`crash::migrations::a_migration_that_fails_or_is_killed_at_any_call_is_done_once_by_the_next_unlock`).
//! - A restore believes no stored hash of the log that it replaces: what was revoked after the backup is read from
//!   records that make the signed root
//!   (`host::restore_since::a_record_that_was_changed_below_a_stored_hash_cannot_hide_a_revocation`).
//! - A copy that takes a file's place is whole, or the file stays
//!   (`crash::copies::a_killed_compact_or_rekey_leaves_one_whole_file_and_the_next_good_run_clears_up`,
//!   `crash::upkeep::a_power_cut_at_any_call_of_a_copy_leaves_a_whole_one_or_none_and_never_touches_its_source`).
//! - An internal error keeps its cause, logged once under the request's id and never sent
//!   (`crash::internal::an_internal_error_keeps_its_cause_for_the_log_and_hides_it_from_the_client`).
//! - [`http`] cannot name [`storage`]; nothing below [`http`] and [`cli`] reads a clock; no files of a room form a
//!   circle (`tidy::every_import_points_down_and_every_tool_is_in_its_home`,
//!   `tidy::no_files_of_one_room_use_each_other_in_a_circle`).
//! - A secret type has no `Clone`, `Debug`, `Serialize` or `Deref`, and `expose()` is grep-able. Its bytes become
//!   text only through `expose_text`, which repairs nothing
//!   (`secret_types::a_secret_type_cannot_be_cloned_printed_serialized_compared_or_dereferenced`).
//! - No thread of a server has a right that a server does not need, and nothing can be executed, opened or connected
//!   from inside (`host::sandbox::no_thread_of_a_server_keeps_a_right_it_was_born_with`,
//!   `host::sandbox::nothing_can_be_executed_opened_connected_or_signalled_from_inside`).
//! - After a lock no key and no secret of a request is in the process's memory
//!   (`host::leftovers::no_key_and_no_secret_is_in_memory_or_a_core_after_any_lock`).
//! - A private authority vouches for the names that it was made for, and its certificate is never overwritten
//!   (`host::tls_make::an_authority_vouches_for_no_other_name_and_for_no_address_beside_its_own`).
//! - Logins take as many work areas as run at a time, whatever their number
//!   (`host::memory::logins_good_or_bad_from_one_address_or_many_leave_no_more_memory_than_runs_at_a_time`).
//! - A code of a second factor counts once, and only the right password learns that one is needed
//!   (`api::second_factor::a_code_counts_once_whatever_comes_between_and_never_an_older_one`,
//!   `api::second_factor::only_the_right_password_learns_that_a_code_is_needed_and_at_the_same_work`).
//! - The argon2 work of a login or unlock follows from the submitted text, never from what is stored or the outcome
//!   (`vault::slots::tests::which_slot_opens_does_not_show_in_the_work`,
//!   `api::users::a_wrong_password_an_unknown_and_a_disabled_user_cannot_be_told_apart`).
//!
//! # A reader's questions
//!
//! | question | place |
//! |---|---|
//! | Where is a revoke decided? | `vault/tokens.rs`, and `storage/commit/in_flight.rs` for answers in flight |
//! | Where are the bytes of a row drawn? | `storage/format/`: `tables.rs`, `codec.rs`, `head.rs` |
//! | How does an older file become one of a newer format? | `storage/migrate.rs`, with the table in `migrations.rs`; its copy is kept by `cli/host/keeping.rs` |
//! | Where is a code of a second factor used up? | `auth/second_factor.rs` decides; `vault/sessions.rs` and `vault/second_factor.rs` on the commit thread |
//! | What makes a record believed? | `storage/read/sealed_log.rs`, and `vault/log_check.rs` for the whole log |
//! | What is due for rotation, and from where does the list know? | `domain/due.rs`, `vault/due.rs`; `storage/dates.rs` keeps the dates in memory |
//! | What bounds a caller? | `auth/limiter.rs` for strangers, `vault/budgets.rs` for the known |
//! | What happens between the disk and a 200? | `vault/audited.rs`, then `storage/commit/writer.rs` and `batch.rs` |
//! | How is a copy of one moment made while the server goes on? | `storage/copy/mod.rs`; the file takes another's place in `disk/file.rs` |
//! | Which files may the process open, and which calls may it make? | `cli/host/sandbox/`: `rules.rs`, `seccomp.rs` |
//! | Which checkpoint of another vault is cosigned? | `audit/witness.rs` judges, `vault/witness.rs` keeps and signs |
//! | What raises an alarm, and who hears of it? | `vault/canary.rs`, then `cli/host/notify/` |
//! | What wipes a secret that has no owner? | the heap: `main.rs`; the stack: `crypto/stack.rs`; keys: `crypto/key_bytes.rs` |
//! | What answers the watchdog of systemd? | `http/pulse.rs`, from the accept loop and a serving thread |
//! | What is checked of a host before there is a vault? | `cli/host/self_check/`; the primitives: `crypto/known_answers.rs` |
//! | Where is a new route added? | `ROUTES` in `http/routes.rs`; the compiler names the rest |
//! | Which test fails if a disclosure goes unrecorded? | `audit::export::over_any_mix_of_requests_…` |
//!
//! # One sync a commit
//!
//! redb commits in one phase: data and header go out with one sync, and after a power cut the engine's page checksums
//! decide which commit is whole. redb recommends two phases where an attacker may choose the data, since its checksum
//! has no key: a torn write could leave an older page that collides with the new one. Here that is refused. Every start
//! compares all rows except `last_access` with a keyed digest, and the newest records with the signed head, so no
//! mixture of two commits is served
//! (`crash::stale::a_page_of_the_commit_before_is_never_served_though_the_engine_takes_it`). Nor could an attacker
//! choose colliding pages: sealed bytes are unpredictable, and the plain fields of a record are visible ASCII between
//! random ids and times.
//!
//! A failed sync needs more. Linux then takes the pages for clean: a reader finds the commit whole in the page cache,
//! though the disk lacks parts of it. So [`disk::Rollback`] returns the header to the last synced commit before anything
//! else is read or written, and a commit in doubt is decided only after a sync that succeeded
//! (`crash::power_cuts::a_disk_that_fails_for_a_while_costs_nothing_that_was_answered`).
//!
//! The argument would break if a state table left the digest, if the engine changed a page of the last commit in place,
//! or if it wrote its header elsewhere than into the first 320 bytes. It does not cover `last_access`, whose watermark
//! holds a sum of its own and whose rows the log replaces, nor older pages of the log: each read of one climbs to the
//! head (`storage/read/sealed_log.rs`), and a check of the whole log follows each unlock. If the process is killed between a failed
//! sync and the write of the old header, microseconds later, the next process cannot know of the failure.
//!
//! # Where this differs from the first design
//!
//! - Opening a file holds all writes back in memory ([`disk::DeferredWrites`]) until it is unlocked and has agreed with its
//!   head, since even the engine's integrity check writes: a wrong passphrase changes no byte.
//! - A read that was prepared in the request's task is kept if no commit has changed state since (a counter says so);
//!   otherwise the commit thread selects and opens anew. Nothing is compared row by row.
//! - Rows are cached for each thread, not in a shared map, for the life of one such state.
//! - A session's token carries the session's id, so that its row is found by key; a user's `epoch` ends all sessions
//!   of that user with one write.
//! - The newest records stand beside the head and move to the log's table by the page ([`storage::tables`]): a small
//!   commit writes five pages and not nine. A file at rest has them all in the table.
//! - The engine's lock requests are answered by the file's own lock ([`disk::HeldFile`]), which outlives the engine:
//!   a failed commit closes the engine and opens it again, and no other process gets in between.
//! - A commit holds a reader of the state before it ([`storage::Engine`]). Without one, redb ends each commit with a
//!   second transaction in memory that frees that state's pages at once, a third of its work; with one, the next commit
//!   frees them.
//! - Records go to their table as one run at its end: pages are full, and no record is overwritten
//!   (`storage::engine::tests::no_commit_overwrites_a_record_or_inserts_one_before_the_newest`).
//! - What the file grows by is filled with zeros a piece at a time before a commit writes there ([`disk::Preallocated`]):
//!   blocks that a file never had cost a commit half as much again.
//! - An entry of the index of scopes tells, for `custom`, which name it is of, by a tag that only the key makes: who
//!   looks for one name need not open all the others.
//! - A row of the log carries the first bytes of its leaf hash, so that a reader tells a damaged one from a record.
//! - Refusals beyond a few a minute, and what strangers are refused, become one record of counts a minute. The log does
//!   likewise with their lines, and with each warning that repeats (`cli/host/repeats.rs`).
//! - Each log key but the first has its handover in `meta/handovers`: the checkpoint that names it and that the key
//!   before signed too. `log_keys` alone, which the head covers, says which handovers must be there.
//! - A machine key is a slot of its own kind, with HKDF in place of argon2id; its text has a prefix, and is tried at
//!   such slots alone.
//! - The sandbox is entered on the main thread before any other starts: landlock holds for a thread and for those that it
//!   starts. So the vault file and both sockets are opened before the runtime exists ([`http::Bound`]).
//! - A GitHub App's token is minted between two decisions: the first chooses the App, the commit thread chooses again
//!   and records before the token leaves (`vault/repository.rs`). The open vault is not held meanwhile.
//! - Variables do not go through the parser of flags (`cli/arguments.rs`): an empty one is unset, and a wrong one is
//!   named in its own message.

pub mod api;
#[cfg(feature = "server")]
pub mod audit;
#[cfg(feature = "server")]
pub mod auth;
pub mod cli;
#[cfg(feature = "client")]
pub mod client;
pub mod clock;
pub mod config;
#[cfg(feature = "server")]
pub mod crypto;
#[cfg(feature = "server")]
pub mod disk;
pub mod domain;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "server")]
pub mod outgoing;
#[cfg(feature = "server")]
pub mod stats;
#[cfg(feature = "server")]
pub mod storage;
#[cfg(feature = "server")]
pub mod vault;

/// The fuzz targets, for their own binary and for the tests that replay their corpora.
#[cfg(all(any(test, fuzzing), feature = "server", feature = "client"))]
#[path = "../tests/fuzz/targets/mod.rs"]
pub mod fuzz;

#[cfg(not(any(feature = "server", feature = "client")))]
compile_error!("choose at least one of the features `server` and `client`");
