alter table quayhand_schedule_entry drop column why, drop column changed_by;
-- What is paused stays so for as long as Redis keeps it.
drop table quayhand_pause;
