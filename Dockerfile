# Two images from one file: bridge (the default, the last) and simulator. Both hold one program, its
# libraries and the certificate authorities, and nothing else: there is no shell in them.
#   docker build -t aiva-mqtt-bridge .          (or: podman build, buildah build)
# The base can be pinned: --build-arg BASE=debian:bookworm-slim@sha256:...

ARG BASE=debian:bookworm-slim
FROM ${BASE} AS build
WORKDIR /src
COPY cmake/packages.sh cmake/
# Not by SHELL: images of the OCI's format have none, and buildah and podman pass over it.
RUN ["/bin/bash", "-euc", ". cmake/packages.sh && packages_need \"${PACKAGES_BUILD[@]}\""]
COPY CMakeLists.txt CMakePresets.json ./
COPY cmake cmake
COPY include include
COPY bridge bridge
COPY tests/simulator tests/simulator
RUN cmake --preset release \
    && cmake --build --preset release \
    && strip build/release/aiva-mqtt-bridge build/release/aiva-simulator \
    && cmake/rootfs.sh build/release/aiva-mqtt-bridge /rootfs/bridge \
    && cmake/rootfs.sh build/release/aiva-simulator /rootfs/simulator

# Stands in for AIVA, for trying things out.
FROM scratch AS simulator
COPY --from=build /rootfs/simulator /
USER 10001:10001
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/aiva-simulator", "--listen", "0.0.0.0:8080"]

FROM scratch AS bridge
COPY --from=build /rootfs/bridge /
USER 10001:10001
STOPSIGNAL SIGTERM
# Inside the container alone; 0.0.0.0:9280 lets Prometheus in, by address, and the container's own name
# in place of that address by name. Wins over http.listen in a file.
ENV HTTP_LISTEN=127.0.0.1:9280
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s --retries=3 \
    CMD ["/usr/local/bin/aiva-mqtt-bridge", "--healthcheck"]
ENTRYPOINT ["/usr/local/bin/aiva-mqtt-bridge"]
