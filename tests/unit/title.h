/* SPDX-License-Identifier: ISC */
/*
 * title.h - a test of cmocka's by what it shows, the ids of tests/RULES in
 * brackets at the end: TEST(test_bad, "a file without a record is refused
 * (D05)").  `tests/rules` wants all of them like that.
 */
#ifndef TITLE_H
#define TITLE_H

#define TEST(function, title) TEST_WITH(function, title, NULL, NULL)
#define TEST_WITH(function, title, set_up, tear_down) \
	((struct CMUnitTest){ title, function, set_up, tear_down, NULL })

#endif
