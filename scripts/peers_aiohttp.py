#!/usr/bin/env python3
"""peers_aiohttp.py URLS N [DIR]: download the URLs of a file with aiohttp, N at a time.

What one would write who needs it done: a session, a semaphore, gather. Saves into DIR if given.
"""
import asyncio
import pathlib
import sys

import aiohttp


async def download(session, places, url, folder):
    async with places, session.get(url) as response:
        response.raise_for_status()
        body = await response.read()
        if folder:
            (folder / url.rsplit("/", 1)[1]).write_bytes(body)
        return len(body)


async def main():
    urls = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8").split()
    n = int(sys.argv[2])
    folder = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else None
    places = asyncio.Semaphore(n)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=n)) as session:
        sizes = await asyncio.gather(*(download(session, places, url, folder) for url in urls))
    print(f"peers: transfers {len(sizes)} bytes {sum(sizes)}")


asyncio.run(main())
