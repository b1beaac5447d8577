"""Lookups as jobs of Oban: row and job in one transaction, one call of the register, the row updated.

What it leaves out makes it faster than a service would be: it has no HTTP in front, those who ask are tasks of the same
process. It checks no token, seals nothing and keeps no audit. PGHOST and the like say where PostgreSQL is.

Each command prints lines of name=value.
"""

import argparse
import asyncio
import pathlib
import resource
import time
import uuid
from xml.etree import ElementTree

import aiohttp
import uvloop
from oban import Oban, schema, worker
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

HEADERS = "http://x-road.eu/xsd/xroad.xsd"
CONTENT_TYPE = 'application/soap+xml;charset=UTF-8;action="urn:unzr"'
ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?><soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope"'
    f' xmlns:xro="{HEADERS}" xmlns:iden="http://x-road.eu/xsd/identifiers"><soap:Header>'
    '<xro:client iden:objectType="SUBSYSTEM"><iden:xRoadInstance>SEVDEIR</iden:xRoadInstance>'
    "<iden:memberClass>GOV</iden:memberClass><iden:memberCode>12345678</iden:memberCode>"
    "<iden:subsystemCode>1_EHEALTH_prod</iden:subsystemCode></xro:client>"
    '<xro:service iden:objectType="SERVICE"><iden:xRoadInstance>SEVDEIR</iden:xRoadInstance>'
    "<iden:memberClass>GOV</iden:memberClass><iden:memberCode>00000001</iden:memberCode>"
    "<iden:subsystemCode>20_EIS_prod</iden:subsystemCode><iden:serviceCode>unzr</iden:serviceCode></xro:service>"
    "<xro:userId>{user}</xro:userId><xro:id>{id}</xro:id><xro:protocolVersion>4.0</xro:protocolVersion>"
    "</soap:Header><soap:Body><unzr><UNZR>{number}</UNZR></unzr></soap:Body></soap:Envelope>"
)

# Step 1 of a lookup. What was found before stays.
PENDING = """
INSERT INTO unzr_info (unzr, job_status, inserted_by, updated_by) VALUES (%(unzr)s, 'pending', %(user)s, %(user)s)
ON CONFLICT (unzr) DO UPDATE SET job_status = 'pending', updated_at = now(), updated_by = excluded.updated_by
RETURNING id"""

PROCESSED = """
UPDATE unzr_info SET job_status = 'processed', info = %(info)s, synced_at = now(), updated_at = now()
WHERE id = %(id)s"""

USER = str(uuid.uuid4())


def number_of(index):
    """An invented number. The day does not exist, so it is nobody's."""
    return f"1991{9900 + index // 100_000:04}-{index % 100_000:05}"


class Lookups:
    """The connections, and who waits for the end of which lookup."""

    def __init__(self, pool, session, register):
        self.pool, self.session, self.register = pool, session, register
        self.ends = {}

    async def ask(self, number):
        """Makes row and job. What is returned ends with the lookup."""
        end = self.ends[number] = asyncio.get_running_loop().create_future()
        async with self.pool.connection() as connection, connection.transaction():
            cursor = await connection.execute(PENDING, {"unzr": number, "user": USER})
            (row,) = await cursor.fetchone()
            await Unzr.enqueue({"row": str(row), "unzr": number}, conn=connection)
        return end

    async def call(self, number):
        """Calls the register. Returns what it knows, or None for nothing."""
        call = str(uuid.uuid4())
        message = ENVELOPE.format(user=USER, id=call, number=number).encode()
        async with self.session.post(self.register, data=message, headers={"content-type": CONTENT_TYPE}) as answer:
            root = ElementTree.fromstring(await answer.read())
        if answer.status != 200 or root.findtext(f".//{{{HEADERS}}}id") != call:
            raise ValueError("a wrong answer")
        found = root.find(".//unzrResponse")
        return {element.tag: element.text or {part.tag: part.text for part in element} for element in found} or None


lookups: Lookups


@worker(queue="unzr", max_attempts=5)
class Unzr:
    """The job of a lookup."""

    async def process(self, job):
        number = job.args["unzr"]
        info = await lookups.call(number)
        async with lookups.pool.connection() as connection:
            await connection.execute(PROCESSED, {"info": info and Jsonb(info), "id": job.args["row"]})
        if end := lookups.ends.pop(number, None):
            end.set_result(time.perf_counter())


async def jobs(options):
    """Lookups that are all in the queue before the first of them is worked on. To put them there is not counted among
    the time of the jobs: that is the most that one process can work on, wherever those who ask are."""
    begun, answers, ends = time.perf_counter(), [], []
    numbers = map(number_of, range(options.lookups))

    async def client():
        for number in numbers:
            asked = time.perf_counter()
            ends.append(await lookups.ask(number))
            answers.append(time.perf_counter() - asked)

    await asyncio.gather(*(client() for _ in range(options.at_once)))
    print(f"asked_per_s={len(ends) / (time.perf_counter() - begun):.0f} {percentiles('answer_', answers)}", end=" ")
    begun = time.perf_counter()
    async with Oban(pool=lookups.pool, queues=queues(options)):
        seconds = max(await asyncio.gather(*ends)) - begun
    print(f"jobs={len(ends)} jobs_per_s={len(ends) / seconds:.0f}", end=" ")


async def rate(options):
    """Lookups at a rate, whether the last has ended or not."""
    answers, answered, asking, ends = [], {}, set(), []

    async def one(number, counts, asked):
        ends.append(await lookups.ask(number))
        if counts:
            answers.append(time.perf_counter() - asked)
            answered[number] = time.time_ns() // 1000

    begun = time.perf_counter()
    for index in range(options.rate * (options.warm_up + options.seconds)):
        due = begun + index / options.rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        counts = index >= options.rate * options.warm_up
        task = asyncio.create_task(one(number_of(index), counts, due))
        asking.add(task)
        task.add_done_callback(asking.discard)
    await asyncio.gather(*asking)
    await asyncio.gather(*ends)
    async with lookups.session.get(f"{options.register}arrivals") as text:
        arrivals = dict(line.split(" ") for line in (await text.text()).splitlines())
    # One that comes before the answer took no time.
    calls = [max(0, int(arrivals[number]) - at) / 1e6 for number, at in answered.items()]
    print(f"mutations={len(answers)} {percentiles('answer_', answers)} {percentiles('to_call_', calls)}", end=" ")


def percentiles(prefix, seconds):
    """p50, p99 and the longest, in milliseconds."""
    ordered = sorted(seconds) or [float("nan")]
    half, most = (ordered[min(len(ordered) * share // 100, len(ordered) - 1)] * 1000 for share in (50, 99))
    pairs = (("p50", half), ("p99", most), ("longest", ordered[-1] * 1000))
    return " ".join(f"{prefix}{name}_ms={value:.2f}" for name, value in pairs)


def queues(options):
    return {"unzr": options.in_flight}


async def main(command, options):
    """Makes the tables, unless they are there, and runs a command."""
    global lookups
    size = options.connections
    async with AsyncConnectionPool("", min_size=size, max_size=size, open=False) as pool:
        async with pool.connection() as connection:
            found = await (await connection.execute("SELECT to_regclass('unzr_info')")).fetchone()
            if found == (None,):
                await connection.execute((pathlib.Path(__file__).parent / "tables.sql").read_text())
        if found == (None,):
            await schema.install(pool)
        # No limit of its own.
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            lookups = Lookups(pool, session, options.register)
            async with Oban(pool=pool, queues={} if command is jobs else queues(options)):
                await command(options)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(f"processor_s={used.ru_utime + used.ru_stime:.2f} peak_mb={used.ru_maxrss // 1024}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in (jobs, rate):
        one = commands.add_parser(command.__name__, help=command.__doc__)
        one.set_defaults(run=command)
        one.add_argument("--register", required=True, help="URL of the register, with a slash at its end")
        one.add_argument("--in-flight", type=int, default=16, help="calls at once")
        one.add_argument("--lookups", type=int, default=5000, help="of jobs")
        one.add_argument("--at-once", type=int, default=16, help="of them, while they are put into the queue")
        one.add_argument("--rate", type=int, default=200, help="a second")
        one.add_argument("--seconds", type=int, default=20)
        one.add_argument("--warm-up", type=int, default=3, help="seconds that do not count")
        one.add_argument("--connections", type=int, default=40, help="to PostgreSQL")
    return parser.parse_args()


if __name__ == "__main__":
    given = arguments()
    uvloop.run(main(given.run, given))
