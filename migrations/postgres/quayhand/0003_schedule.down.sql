drop table quayhand_schedule;
