drop table quayhand_sighting;
