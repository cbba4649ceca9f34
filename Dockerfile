# The app on a CPU: docker build -t nystrom-attention . && docker run --rm -p 7860:7860 nystrom-attention
FROM python:3.12-slim

RUN useradd --create-home --uid 1000 app
WORKDIR /home/app/nystrom-attention

# PyTorch's own index has wheels for the CPU alone; PyPI's bring CUDA's libraries, some gigabytes more.
COPY requirements.txt .
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu -r requirements.txt

COPY LICENSE app.py ./
COPY assets/checkpoints assets/checkpoints
COPY nystrom_demo nystrom_demo

USER app
ENV NYSTROM_DEMO_HOST=0.0.0.0 NYSTROM_DEMO_PORT=7860 GRADIO_ANALYTICS_ENABLED=False HF_HUB_OFFLINE=1
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=90s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/health', timeout=4)"]
CMD ["python", "app.py"]
