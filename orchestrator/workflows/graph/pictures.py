"""Nodes that read, change and write pictures."""

from __future__ import annotations

from orchestrator.workflows.graph.sockets import Image, Mask, Nodes, UpscaleModel, Video


class PictureNodes(Nodes):
    """Files are read from the server's input folder and written into its output folder."""

    def load_image(self, *, image: str) -> Image:
        """A picture that was uploaded."""
        return Image(self._add("LoadImage", image=image), 0)

    def load_image_mask(self, *, image: str, channel: str) -> Mask:
        """One channel of a picture that was uploaded, as a mask."""
        return Mask(self._add("LoadImageMask", image=image, channel=channel), 0)

    def image_to_mask(self, *, image: Image, channel: str) -> Mask:
        """One channel of a picture, as a mask."""
        return Mask(self._add("ImageToMask", image=image, channel=channel), 0)

    def image_scale(
        self, *, image: Image, upscale_method: str, width: int, height: int, crop: str
    ) -> Image:
        """Another size; `crop` "center" cuts off what another shape would stretch, "disabled" stretches."""
        node = self._add(
            "ImageScale",
            upscale_method=upscale_method,
            width=width,
            height=height,
            crop=crop,
            image=image,
        )
        return Image(node, 0)

    def image_upscale_with_model(self, *, upscale_model: UpscaleModel, image: Image) -> Image:
        """Enlarge, by as much as the model does."""
        node = self._add("ImageUpscaleWithModel", upscale_model=upscale_model, image=image)
        return Image(node, 0)

    def save_image(self, *, images: Image, filename_prefix: str) -> None:
        """Write the pictures."""
        self._add("SaveImage", images=images, filename_prefix=filename_prefix)

    def save_animated_webp(
        self,
        *,
        images: Image,
        filename_prefix: str,
        fps: float,
        lossless: bool,
        quality: int,
        method: str,
    ) -> None:
        """Write the pictures as one that moves."""
        self._add(
            "SaveAnimatedWEBP",
            images=images,
            filename_prefix=filename_prefix,
            fps=fps,
            lossless=lossless,
            quality=quality,
            method=method,
        )

    def create_video(self, *, images: Image, fps: float) -> Video:
        """Pictures in a row."""
        return Video(self._add("CreateVideo", images=images, fps=fps), 0)

    def save_video(self, *, video: Video, filename_prefix: str, format: str, codec: str) -> None:
        """Write a video."""
        self._add(
            "SaveVideo", video=video, filename_prefix=filename_prefix, format=format, codec=codec
        )
