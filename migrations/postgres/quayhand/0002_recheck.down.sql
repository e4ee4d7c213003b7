drop table quayhand_recheck;
