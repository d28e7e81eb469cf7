#!/usr/bin/env python3
"""peers_httpx.py URLS N [DIR]: download the URLs of a file with HTTPX and asyncio, N at a time.

What one would write who needs it done: a client, a semaphore, gather. Saves into DIR if given.
"""
import asyncio
import pathlib
import sys

import httpx


async def download(client, places, url, folder):
    async with places:
        response = await client.get(url)
        response.raise_for_status()
        if folder:
            (folder / url.rsplit("/", 1)[1]).write_bytes(response.content)
        return len(response.content)


async def main():
    urls = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8").split()
    n = int(sys.argv[2])
    folder = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else None
    places = asyncio.Semaphore(n)
    limits = httpx.Limits(max_connections=n, max_keepalive_connections=n)
    async with httpx.AsyncClient(limits=limits, timeout=60) as client:
        sizes = await asyncio.gather(*(download(client, places, url, folder) for url in urls))
    print(f"peers: transfers {len(sizes)} bytes {sum(sizes)}")


asyncio.run(main())
