package tributary.peer.index;

import jakarta.xml.bind.annotation.XmlElement;
import jakarta.xml.bind.annotation.XmlType;

/** Where are data of a patient? */
@XmlType(name = "FindContentType", propOrder = {"patient", "serviceDomain"})
public class FindContent {
    @XmlElement(name = "registeredResidentIdentification", required = true)
    public String patient;

    @XmlElement(required = true)
    public String serviceDomain;
}
