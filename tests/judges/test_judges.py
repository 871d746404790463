"""Tests of what the judges' runners read and conclude; the judges themselves run elsewhere."""

import unittest

import exchange
import go_range

TABLE = """
	testFileLen = 11
var ServeFileRangeTests = []struct {
	r      string
}{
	{r: "", code: StatusOK},
	{r: "bytes=-5", code: StatusPartialContent, ranges: []wantRange{{testFileLen - 5, testFileLen}}},
	{r: "bytes=0-0,-2", code: StatusPartialContent, ranges: []wantRange{{0, 1}, @}},
	{r: "bytes=11-", code: StatusRequestedRangeNotSatisfiable},
}
"""
TABLE = TABLE.replace("@", "{testFileLen - 2, testFileLen}")
FULL = b"0123456789\n"


class TableTest(unittest.TestCase):
    def setUp(self):
        self.rows_min, go_range.ROWS_MIN = go_range.ROWS_MIN, 4

    def tearDown(self):
        go_range.ROWS_MIN = self.rows_min

    def test_rows_are_read_from_go(self):
        self.assertEqual(go_range.read_table(TABLE), [
            ("", 200, []),
            ("bytes=-5", 206, [(6, 11)]),
            ("bytes=0-0,-2", 206, [(0, 1), (9, 11)]),
            ("bytes=11-", 416, []),
        ])

    def test_a_table_in_another_form_is_refused(self):
        go_range.ROWS_MIN = 5
        self.assertRaises(ValueError, go_range.read_table, TABLE)


class RangeTest(unittest.TestCase):
    row = ("bytes=-5", 206, [(6, 11)])

    def test_a_right_part_has_no_fault(self):
        answer = (206, {"content-range": "bytes 6-10/11"}, FULL[6:])
        self.assertIsNone(go_range.fault_of(self.row, answer, FULL))

    def test_wrong_bytes_bounds_and_status_are_faults(self):
        right = {"content-range": "bytes 6-10/11"}
        for answer in [(206, right, b"x"), (206, {}, FULL[6:]), (200, {}, FULL), (416, {}, b"")]:
            self.assertIsNotNone(go_range.fault_of(self.row, answer, FULL), answer)

    def test_parts_of_a_multipart_answer_are_compared(self):
        body = (b"--b\r\nContent-Range: bytes 0-0/11\r\n\r\n0\r\n"
                b"--b\r\nContent-Range: bytes 9-10/11\r\n\r\n9\n\r\n--b--\r\n")
        answer = (206, {"content-type": "multipart/byteranges; boundary=b"}, body)
        row = ("bytes=0-0,-2", 206, [(0, 1), (9, 11)])
        self.assertIsNone(go_range.fault_of(row, answer, FULL))
        self.assertIsNotNone(go_range.fault_of((row[0], 206, [(0, 1), (8, 11)]), answer, FULL))


class ExchangeTest(unittest.TestCase):
    def test_an_answer_is_split(self):
        answer = b"HTTP/1.1 204 No Content\r\nServer: a:b\r\n\r\nrest"
        self.assertEqual(exchange.split(answer), (204, {"server": "a:b"}, b"rest"))


if __name__ == "__main__":
    unittest.main()
