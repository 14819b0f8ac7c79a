"""What a Python driver does with weir: python3 check.py pymysql|MySQLdb HOST PORT."""

import datetime
import decimal
import importlib
import sys
import threading

name, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
driver = importlib.import_module(name)


def connect(**more):
    return driver.connect(host=host, port=port, user="root", database="analytics", charset="utf8mb4", **more)


def query(conn, text, *args):
    with conn.cursor() as cursor:
        cursor.execute(text, args or None)
        return cursor.fetchall()


def same(got, want):
    assert got == want, f"got {got!r}, want {want!r}"


def fails(number, conn, text):
    try:
        query(conn, text)
    except driver.MySQLError as error:
        same(error.args[0], number)
    else:
        raise AssertionError(f"{text}: no error, want {number}")


conn = connect(autocommit=True)
text = "한글 🚀 é ' \" \\ \n"
same(query(conn, "SELECT %s, %s + 1, %s", text, 41, None), ((text, 42, None),))
same(
    query(
        conn,
        "SELECT CAST(9223372036854775807 AS SIGNED), CAST('18446744073709551615' AS UNSIGNED),"
        " CAST('1234567890123456.7891' AS DECIMAL(20,4)), CAST('2022-08-30 12:35:42.120000' AS DATETIME(6)),"
        " CAST('2022-08-30' AS DATE), TRUE, 0.5e0, 1e300, NULL",
    ),
    (
        (
            9223372036854775807,
            18446744073709551615,
            decimal.Decimal("1234567890123456.7891"),
            datetime.datetime(2022, 8, 30, 12, 35, 42, 120000),
            datetime.date(2022, 8, 30),
            1,
            0.5,
            1e300,
            None,
        ),
    ),
)
same(query(conn, "SELECT status, requests FROM requests_by_minute ORDER BY status"), ((200, 2), (404, 1)))
same(query(conn, "SELECT MAX(minute) FROM requests_by_minute"), ((datetime.datetime(2026, 1, 1, 10, 0),),))

fails(1064, conn, "SELEC 1")
fails(1146, conn, "SELECT * FROM nosuch")
fails(1054, conn, "SELECT nosuch FROM requests_by_minute")
fails(1288, conn, "UPDATE requests_by_minute SET status = 1")
same(query(conn, "SELECT 7"), ((7,),))

conn.begin()
query(conn, "SAVEPOINT a")
query(conn, "ROLLBACK TO SAVEPOINT a")
conn.commit()
conn.rollback()
conn.ping()
conn.select_db("weir")
same(query(conn, "SELECT name FROM views"), (("requests_by_minute",),))
conn.select_db("analytics")

# A statement ends when another connection kills it.
sleeper = connect()
ident = query(sleeper, "SELECT CONNECTION_ID()")[0][0]
ended = []


def sleep():
    try:
        ended.append(query(sleeper, "SELECT SLEEP(60)"))
    except driver.MySQLError as error:
        ended.append(error.args[0])


thread = threading.Thread(target=sleep)
thread.start()
while not query(conn, "SELECT 1 FROM information_schema.processlist WHERE id = %s AND info LIKE 'SELECT SLEEP%%'", ident):
    pass
query(conn, "KILL QUERY %s", ident)
thread.join(30)
same(ended, [1317])

# Rows one by one.
cursors = importlib.import_module(name + ".cursors")
stream = connect(cursorclass=cursors.SSCursor)
cursor = stream.cursor()
cursor.execute("WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 900) SELECT i FROM n")
same(sum(row[0] for row in cursor), 900 * 901 // 2)
cursor.close()
stream.close()

for _ in range(10):
    connect().close()
print("ok")
