# Three images from one file: bridge (the default, the last), simulator, and what builds both.
#   docker build -t aiva-mqtt-bridge .

FROM debian:bookworm-slim AS build
WORKDIR /src
SHELL ["/bin/bash", "-euc"]
COPY cmake/packages.sh cmake/
RUN . cmake/packages.sh && packages_need "${PACKAGES_BUILD[@]}" libmicrohttpd-dev
COPY CMakeLists.txt CMakePresets.json ./
COPY cmake cmake
COPY include include
COPY bridge bridge
COPY tests/simulator tests/simulator
RUN cmake --preset release \
    && cmake --build --preset release \
    && strip build/release/aiva-mqtt-bridge build/release/aiva-simulator

FROM debian:bookworm-slim AS runtime
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libcjson1 libcurl4 libssl3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin aiva

# Stands in for AIVA, for trying things out.
FROM runtime AS simulator
RUN apt-get update \
    && apt-get install -y --no-install-recommends libmicrohttpd12 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/build/release/aiva-simulator /usr/local/bin/
USER 10001:10001
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/aiva-simulator", "--listen", "0.0.0.0:8080"]

FROM runtime AS bridge
COPY --from=build /src/build/release/aiva-mqtt-bridge /usr/local/bin/
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/aiva-mqtt-bridge"]
