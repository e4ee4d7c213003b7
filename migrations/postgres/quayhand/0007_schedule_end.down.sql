drop table quayhand_schedule_entry;
alter table quayhand_schedule drop constraint quayhand_schedule_state;
update quayhand_schedule set state = 'enqueued' where state <> 'claimed';
alter table quayhand_schedule add constraint quayhand_schedule_state
    check (state in ('claimed', 'enqueued'));
