"""Compression of the page itself, which gradio leaves out."""

from gradio.brotli_middleware import BrotliMiddleware

PACKED = ("/", "/config", "/config/")


class PackedPage(BrotliMiddleware):
    """Gradio's own compression, brotli or else gzip, for the page and its configuration, hundreds of kilobytes each.

    Gradio packs addresses that end like scripts and style sheets. What else a server answers is small, or a stream of
    events, which must not wait for a compressor.
    """

    def _is_compressible_file_type(self, scope) -> bool:
        return scope.get("path", "") in PACKED
