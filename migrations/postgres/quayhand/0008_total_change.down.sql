drop table quayhand_total_change;
