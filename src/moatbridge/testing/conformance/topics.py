"""What each check is about: the order and the grouping of the report.

Every check of the suite stands here exactly once (a test holds the table to the
suite). Titles are shown to people who choose an adapter, so they say what is promised.
"""

from __future__ import annotations

from typing import Final

TOPICS: Final[dict[str, tuple[str, ...]]] = {
    "Connecting and describing itself": (
        "test_constructing_does_no_io",
        "test_the_harness_makes_the_adapter_under_test",
        "test_close_is_idempotent_and_allowed_before_open",
        "test_abort_never_raises",
        "test_server_identity_is_stable",
        "test_bad_credentials_are_a_configuration_error",
        "test_unreachable_server_is_not_applied",
        "test_a_reset_at_connect_is_not_applied",
        "test_declares_what_it_dials",
        "test_streams_are_well_formed",
        "test_abilities_and_features_are_true",
        "test_traits_are_sane",
        "test_an_unknown_stream_is_a_typed_error",
    ),
    "Paging": (
        "test_scan_sees_everything_once",
        "test_a_full_last_page_loses_nothing",
        "test_any_page_size_sees_the_same",
        "test_a_short_page_is_not_the_end",
        "test_partitions_cover_everything_once",
        "test_records_hold_exactly_the_declared_fields",
        "test_multi_valued_fields_are_lists",
    ),
    "Rows that move while they are read": (
        "test_rows_that_go_while_they_are_read_hide_no_other",
        "test_rows_that_come_while_others_are_read_hide_none",
    ),
    "Resuming from any cursor": (
        "test_scan_resumes_after_each_batch",
        "test_resuming_survives_a_record_that_went_away",
        "test_cursors_are_small_json",
        "test_a_foreign_scan_cursor_is_refused",
        "test_a_scan_left_half_way_does_no_harm",
        "test_a_batch_of_changes_resumes",
        "test_a_foreign_position_is_refused",
    ),
    'A partial result is never "the end"': (
        "test_scan_of_an_empty_stream_is_complete",
        "test_only_the_last_batch_is_complete",
        "test_an_aborted_scan_never_ends_early",
        "test_an_interrupted_scan_never_completes",
        "test_no_wire_holds_a_scan",
    ),
    "Fetching and finding": (
        "test_fetch_answers_in_order",
        "test_fetch_of_nothing_is_nothing",
        "test_fetch_of_a_missing_record_is_absent",
        "test_fetch_of_a_removed_record_is_no_record",
        "test_no_wire_holds_a_fetch",
        "test_find_hits_exactly",
        "test_find_takes_any_text",
    ),
    "Following, thin changes included": (
        "test_following_starts_with_one_empty_batch",
        "test_sees_what_is_created_after_the_position",
        "test_sees_an_edit",
        "test_a_change_is_whole_or_says_that_it_is_not",
        "test_sees_deletes",
        "test_a_poll_ends_where_the_next_begins",
    ),
    "Receiving": (
        "test_a_delivery_is_read",
        "test_a_forged_delivery_is_refused",
    ),
    "Bad records stand alone": (
        "test_an_unreadable_record_stops_nothing",
        "test_bad_data_is_rejected_and_the_others_applied",
        "test_no_input_makes_write_raise_a_bare_error",
    ),
    "Writing what was asked": (
        "test_creates_and_names_what_it_made",
        "test_what_was_created_reads_back",
        "test_updates_only_what_is_named",
        "test_deletes",
        "test_a_deleted_record_is_absent",
        "test_an_owned_slot_leaves_the_others",
        "test_writing_nothing_is_nothing",
    ),
    "Any text, exactly or not at all": (
        "test_any_text_reads_back_or_is_refused",
        "test_an_update_with_any_text_is_as_exact",
    ),
    "Somebody else's records": ("test_a_create_never_takes_somebody_elses_record",),
    "Cleared values": (
        "test_a_cleared_value_is_really_cleared",
        "test_a_create_without_a_value_leaves_it_empty",
    ),
    "A receipt for each record": (
        "test_receipts_come_in_the_order_of_the_intents",
        "test_a_mixed_batch_has_a_receipt_each",
        "test_deleting_what_is_gone_has_no_surprise",
        "test_updating_a_missing_record_is_rejected_as_gone",
    ),
    "Idempotent writes": (
        "test_repeating_a_create_has_no_second_effect",
        "test_repeating_an_update_has_no_second_effect",
        "test_repeating_a_half_applied_batch_completes_it",
        "test_repeating_after_a_lost_answer_has_one_effect",
    ),
    "Unknown outcomes told honestly": (
        "test_a_lost_answer_is_never_called_not_applied",
        "test_no_wire_holds_a_write",
        "test_the_cores_deadline_ends_a_write",
    ),
    "A busy system": (
        "test_a_busy_answer_to_a_scan_is_passed_on",
        "test_a_busy_answer_to_a_write_is_passed_on",
    ),
    "Reconnecting after a cut": (
        "test_a_scan_goes_on_after_a_cut",
        "test_a_new_instance_works_after_a_cut",
        "test_a_broken_scan_is_not_tried_again",
        "test_a_broken_write_is_not_tried_again",
    ),
    "Duplicate and late delivery": (
        "test_a_poll_may_be_repeated",
        "test_a_delivery_that_comes_twice_is_known",
        "test_what_the_wire_sends_twice_has_one_effect",
        "test_a_late_repeat_of_a_create_undoes_nothing",
        "test_a_late_repeat_of_an_update_undoes_nothing",
        "test_a_stale_version_is_not_applied",
        "test_the_current_version_is_accepted",
    ),
    "Two instances at once": (
        "test_opens_after_a_failure_elsewhere",
        "test_two_instances_scan_at_once",
        "test_two_instances_write_at_once",
    ),
    "Bounded memory": (
        "test_scan_comes_in_several_batches",
        "test_a_scan_holds_pages_not_the_stream",
    ),
    "Deadlines": (
        "test_never_sleeps",
        "test_a_stalled_call_is_freed_by_abort",
        "test_the_cores_deadline_ends_a_scan",
        "test_the_cores_deadline_ends_open",
        "test_no_wire_holds_an_opening",
    ),
    "Secrets and personal data": (
        "test_nothing_secret_or_personal_is_shown",
        "test_a_refused_secret_is_not_shown",
        "test_a_delivery_shows_no_value",
        "test_hidden_secrets_of_an_intent_are_not_shown",
        "test_errors_can_be_pickled",
        "test_dials_only_through_net",
    ),
    "Translators": ("test_translators_obey_the_laws",),
    "The suite itself": ("test_no_silent_overrides",),
}
